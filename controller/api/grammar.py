"""The form of every single value: one table that serves reading, writing, the CLI and the docs."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

SHOWN_LIMIT: Final = 60
"""Characters of a foreign value that a message repeats."""

ACCEPTABLE: Final = ("affinity", "recreate", "not-enough-data")
"""The refusals that a user can overrule (routing.md section 6, contract.md section 3)."""
CHECKS: Final = ("error-rate", "latency", "success", "restarts", "coverage")
"""What can be asked about a canary."""
ALTERNATIVES: Final = (("manual", "auto"), ("shift-then-roll", "in-place"))
"""The words of `promotion`: one of each pair, the first is the default."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form of one value: a regular expression, and what it cannot say.

    Attributes:
        name: how the docs and the other forms call it.
        pattern: the regular expression; always matched in full and in ASCII.
        says: the same in words, for a message: `allowed: ...`.
        denied: words that fit the pattern and are refused all the same, in any case; `x-*` refuses
            whatever begins with `x-`.
    """

    name: str
    pattern: str
    says: str
    denied: tuple[str, ...] = ()

    def fits(self, text: str) -> bool:
        """Tell whether the text has this form. Nothing is trimmed or normalised."""
        return re.fullmatch(self.pattern, text, re.ASCII) is not None and not self.denies(text)

    def denies(self, text: str) -> bool:
        """Tell whether the text is one of the denied words."""
        return any(_is_word(word, text.lower()) for word in self.denied)


def _is_word(word: str, text: str) -> bool:
    return text.startswith(word[:-1]) if word.endswith("*") else text == word


WEIGHT: Final = Form(
    name="WEIGHT",
    pattern=r"0|[1-9][0-9]?|100",
    says="a whole number from 0 to 100",
)
DURATION: Final = Form(
    name="DURATION",
    pattern=r"[1-9][0-9]{0,4}(s|m|h)",
    says="a whole number of s, m or h, such as 10m, from 1s to 7 days",
)
STEP: Final = Form(
    name="STEP",
    pattern=rf"([1-9][0-9]?|100)(/{DURATION.pattern})?",
    says="WEIGHT or WEIGHT/DURATION, the weight from 1 to 100",
)
HEADER: Final = Form(
    name="HEADER",
    pattern=r"[A-Za-z][A-Za-z0-9-]{0,62}",
    says="a letter, then letters, digits and '-', at most 63 characters, and no header that "
    "proxies use themselves",
    denied=(
        "host",
        "connection",
        "content-*",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "keep-alive",
        "proxy-*",
        "authorization",
        "cookie",
        "x-forwarded-*",
        "x-real-ip",
        "forwarded",
        "x-original-*",
    ),
)
ACCOUNT: Final = Form(
    name="ACCOUNT",
    pattern=r"[A-Za-z0-9][A-Za-z0-9._~@+-]{0,63}",
    says="a letter or digit, then letters, digits and '._~@+-', at most 64 characters, "
    "not 'always' or 'never'",
    denied=("always", "never"),
)
HEADER_VALUE: Final = Form(
    name="HEADER_VALUE",
    pattern=r"[A-Za-z0-9._~:/-]{1,128}",
    says="1 to 128 letters, digits and '._~:/-'",
)
ENDING: Final = Form(
    name="ENDING",
    pattern=r"[0-9a-f]{1,4}(-[0-9a-f]{1,4})?",
    says="an ending such as 7, or a range such as 00-04, of 1 to 4 digits or lower-case hex digits",
)
COOKIE: Final = Form(
    name="COOKIE",
    pattern=r"[a-z0-9_-]{1,64}",
    says="1 to 64 lower-case letters, digits, '_' and '-'",
)
PAIR: Final = Form(
    name="PAIR",
    pattern=r"[A-Za-z0-9._~-]{1,64}=[A-Za-z0-9._~-]{1,128}",
    says="name=value of letters, digits and '._~-', the name up to 64 characters, the value up "
    "to 128",
)
REPLICAS: Final = Form(
    name="REPLICAS",
    pattern=r"auto|[1-9][0-9]{0,3}|([1-9][0-9]?|100)%",
    says="auto, a number from 1 to 9999, or 1% to 100%",
)
REVISION: Final = Form(
    name="REVISION",
    pattern=r"[a-z0-9]{1,63}",
    says="1 to 63 lower-case letters and digits",
)
ACTION: Final = Form(
    name="ACTION",
    pattern=rf"(promote|retry):{REVISION.pattern}|(abort|pause|continue)(:{REVISION.pattern})?",
    says="promote:REVISION or retry:REVISION; or abort, pause, continue, alone or with :REVISION",
)
THRESHOLD: Final = Form(
    name="THRESHOLD",
    pattern=r"-?[0-9]{1,9}(\.[0-9]{1,6})?",
    says="a decimal number of at most 9 digits and 6 decimals",
)
OWN_CHECK: Final = Form(
    name="OWN_CHECK",
    pattern=r"x(-[a-z0-9]+)+",
    says="x- and lower-case letters, digits and '-'",
)
CHECK: Final = Form(
    name="CHECK",
    pattern=rf"(({'|'.join(CHECKS)})(-[1-9][0-9]{{0,4}}m?s)?|{OWN_CHECK.pattern})"
    rf"((<=|>=){THRESHOLD.pattern}[x%])?",
    says="error-rate or latency, alone or with <= and a threshold such as 1% or 1.5x; "
    "latency-500ms counts answers slower than that; success>=99%; restarts; coverage>=95%; "
    "x-NAME of the administrator's, like error-rate",
)
PROMOTION: Final = Form(
    name="PROMOTION",
    pattern="|".join(word for pair in ALTERNATIVES for word in pair),
    says=", ".join(" or ".join(pair) for pair in ALTERNATIVES),
)
REFUSAL: Final = Form(
    name="REFUSAL",
    pattern="|".join(ACCEPTABLE),
    says=" or ".join(ACCEPTABLE),
)
OBJECT_NAME: Final = Form(
    name="OBJECT_NAME",
    pattern=r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?",
    says="1 to 63 lower-case letters, digits and '-', no namespace",
)
PATH: Final = Form(
    name="PATH",
    pattern=r"/[A-Za-z0-9._/-]{0,255}",
    says="'/', then up to 255 letters, digits and '._/-'",
)
HOST: Final = Form(
    name="HOST",
    pattern=r"((\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*)?",
    says="empty, or a lower-case DNS name of at most 253 characters, with at most one leading '*.'",
)
PORT_NAME: Final = Form(
    name="PORT_NAME",
    pattern=r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?",
    says="1 to 15 lower-case letters, digits and '-', with a letter",
)

FORMS: Final = (
    WEIGHT,
    DURATION,
    STEP,
    HEADER,
    ACCOUNT,
    ENDING,
    COOKIE,
    PAIR,
    REPLICAS,
    PROMOTION,
    CHECK,
    THRESHOLD,
    OBJECT_NAME,
    REFUSAL,
    REVISION,
    ACTION,
    HEADER_VALUE,
    PATH,
    HOST,
    PORT_NAME,
)
"""Every form, in the order of the docs (routing.md section 10)."""

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 7 * 24 * 3600
_HOST_LIMIT: Final = 253


def has_control(text: str) -> bool:
    """Tell whether there is a control character, a newline included."""
    return _CONTROL.search(text) is not None


def shown(text: str) -> str:
    """Return the text as a message may repeat it: quoted, in ASCII, shortened."""
    return ascii(text if len(text) <= SHOWN_LIMIT else text[: SHOWN_LIMIT - 3] + "...")


def seconds_of(text: str) -> int | None:
    """Read a duration; None where it is none, or longer than 7 days."""
    if not DURATION.fits(text):
        return None
    seconds = int(text[:-1]) * _SECONDS[text[-1]]
    return seconds if seconds <= _LONGEST else None


def is_safe_path(path: str) -> bool:
    """Tell whether we may repeat an Ingress path that we read."""
    return PATH.fits(path)


def is_safe_host(host: str) -> bool:
    """Tell whether we may repeat an Ingress host that we read; "" is a rule without a host."""
    return len(host) <= _HOST_LIMIT and HOST.fits(host)


def is_object_name(name: str) -> bool:
    """Tell whether a name can be written in our annotations and labels."""
    return OBJECT_NAME.fits(name)


def is_port(port: object) -> bool:
    """Tell whether we may repeat a Service port: a number from 1 to 65535, or a port name."""
    if isinstance(port, str):
        return PORT_NAME.fits(port)
    return isinstance(port, int) and not isinstance(port, bool) and 1 <= port <= 65535


def repeated(items: Collection[str]) -> str | None:
    """Return the first item that stands twice."""
    seen: set[str] = set()
    for item in items:
        if item in seen:
            return item
        seen.add(item)
    return None
