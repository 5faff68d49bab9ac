"""An administrator's own checks: names with templates of questions, read strictly.

Templates are the only place where a question is written by hand. What a release puts into them are
names of objects, each in the place that is made for it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from controller.api import grammar

PLACEHOLDERS: Final = ("namespace", "service", "pods", "fresh")
"""What `$...` may stand for; `$pods` is a pattern of one side's pods, `$fresh` a range."""
FIELDS: Final = ("requests", "events")
NAME_LIMIT: Final = 63
QUERY_LIMIT: Final = 2000
NUMBER_LIMIT: Final = 50
_PLACEHOLDER: Final = re.compile(r"\$(\w*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One check of the administrator's.

    Attributes:
        name: as users write it, `x-...`.
        requests: template of the question for counters of what was tried.
        events: template of the question for counters of what went wrong.
    """

    name: str
    requests: str
    events: str


def templates_of(document: object) -> tuple[Template, ...]:
    """Read the file's content.

    Raises:
        ValueError: something in it is not allowed; the message names the key, the value and what
            is.
    """
    if not isinstance(document, Mapping) or set(document) != {"checks"}:
        raise ValueError(f"{_shown(document)} must be a mapping with the one key 'checks'")
    checks = document["checks"]
    if not isinstance(checks, Mapping) or not 0 < len(checks) <= NUMBER_LIMIT:
        raise ValueError(f"checks: {_shown(checks)} must map 1 to {NUMBER_LIMIT} names")
    return tuple(_template(name, entry) for name, entry in checks.items())


def _template(name: object, entry: object) -> Template:
    if not isinstance(name, str) or not grammar.OWN_CHECK.fits(name) or len(name) > NAME_LIMIT:
        raise ValueError(f"checks: {_shown(name)} must be {grammar.OWN_CHECK.says}")
    if not isinstance(entry, Mapping) or set(entry) != set(FIELDS):
        raise ValueError(
            f"checks.{name}: {_shown(entry)} must have the keys {' and '.join(FIELDS)}"
        )
    requests, events = (_query(f"checks.{name}.{field}", entry[field]) for field in FIELDS)
    return Template(name=name, requests=requests, events=events)


def _query(key: str, text: object) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= QUERY_LIMIT:
        raise ValueError(f"{key}: {_shown(text)} must be a text of 1 to {QUERY_LIMIT} characters")
    used = _PLACEHOLDER.findall(text)
    for word in used:
        if word not in PLACEHOLDERS:
            allowed = ", ".join(f"${it}" for it in PLACEHOLDERS)
            raise ValueError(f"{key}: ${word} is no placeholder; allowed: {allowed}")
    if "pods" not in used:
        raise ValueError(f"{key}: {_shown(text)} must hold $pods, which tells both sides apart")
    return text


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a question with a value for each placeholder."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _shown(value: object) -> str:
    return grammar.shown(value if isinstance(value, str) else repr(value))
