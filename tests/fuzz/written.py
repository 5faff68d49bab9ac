"""What may stand on an Ingress of ours, spelled again from routing.md sections 5.1 and 10.

Nothing of the controller's own tables is used here: an error there must not excuse itself.
"""

import re
from collections.abc import Mapping

PREFIX = "nginx.ingress.kubernetes.io/"

FORMS: Mapping[str, str] = {
    "canary": r"true",
    "canary-weight": r"0|[1-9][0-9]?|100",
    "canary-by-cookie": r"[a-z0-9_-]{1,64}",
    "canary-by-header": r"[A-Za-z][A-Za-z0-9-]{0,62}",
    "canary-by-header-value": r"[A-Za-z0-9._~:/-]{1,128}",
    "canary-by-header-pattern": r"\^[A-Za-z0-9_.~:?|()\[\]*\\-]{1,16382}\$",
}
"""The whole list of keys under the proxy's prefix, and the form of each value."""
OTHERS = frozenset({"serinus.dev/changed", "serinus.dev/shrink", "kubernetes.io/ingress.class"})
ALWAYS = frozenset({"canary", "canary-weight", "canary-by-cookie"})
WORDS = frozenset({"always", "never"})
HEADER, VALUE, PATTERN = "canary-by-header", "canary-by-header-value", "canary-by-header-pattern"


def faults_of(annotations: Mapping[str, str]) -> list[str]:
    """Return what must not stand so on a canary Ingress, [] if all of it may."""
    ours = {
        key.removeprefix(PREFIX): value
        for key, value in annotations.items()
        if key.startswith(PREFIX)
    }
    others = annotations.keys() - {PREFIX + key for key in ours} - OTHERS
    found = [f"the key {key!r}" for key in sorted(others)]
    found += [f"no {key}" for key in sorted(ALWAYS - ours.keys())]
    for key, value in sorted(ours.items()):
        if re.fullmatch(FORMS.get(key, "(?!)"), value, re.ASCII) is None:
            found.append(f"{key}: {value[:200]!r}")
    return found + _rule_faults(ours)


def _rule_faults(ours: Mapping[str, str]) -> list[str]:
    """A header stands with exactly one of value and pattern; the words of the proxy never do."""
    found = []
    if (HEADER in ours) != (VALUE in ours or PATTERN in ours):
        found.append("a header without value or pattern, or one of them without a header")
    if VALUE in ours and PATTERN in ours:
        found.append("a value beats a pattern")
    if ours.get(VALUE, "").lower() in WORDS:
        found.append("a word of the proxy as value")
    return found
