"""Inputs that a fuzzer makes from the branches it has reached: atheris, one target a process.

A finding ends the process with a traceback and leaves the input in the current folder.
"""

import sys
from collections.abc import Callable, Mapping

import atheris

with atheris.instrument_imports(include=["controller.api", "controller.plan.traffic"]):
    from controller.api import names
    from controller.api.intent import KEYS as KEYS_OF_THE_USER
    from tests.fuzz import contract
    from tests.fuzz.values import MARK

GOOD = {key.name: key.example for key in KEYS_OF_THE_USER}
KEYS = [*GOOD, "serinus.dev/wieght", names.STATUS]
ACCOUNT = "abyzABYZ0189._~@+-"
_CHARACTERS = "azAZ019-_.~@+%:/=,; \n^$()[]*|\\{}"


def _text(data: "atheris.FuzzedDataProvider") -> str:
    """Make a text: of the characters that mean something here, or of any."""
    if data.ConsumeBool():
        return "".join(
            data.PickValueInList(list(_CHARACTERS)) for _ in range(data.ConsumeIntInRange(0, 40))
        )
    return str(data.ConsumeUnicodeNoSurrogates(data.ConsumeIntInRange(0, 80)))


def intent(raw: bytes) -> None:
    """Read bytes as annotations, and follow them to what is written."""
    data = atheris.FuzzedDataProvider(raw)
    weight = data.ConsumeIntInRange(0, 100)
    annotations = {}
    for _ in range(data.ConsumeIntInRange(0, 6)):
        key = data.PickValueInList(KEYS)
        is_good = data.ConsumeBool() and key in GOOD
        annotations[key] = GOOD[key] if is_good else _text(data)
    _raise(contract.flaws(annotations, weight))


def pattern(raw: bytes) -> None:
    """Read bytes as accounts and endings, and ask every engine about their pattern."""
    data = atheris.FuzzedDataProvider(raw)
    accounts = [_of(data, ACCOUNT, 1, 20) for _ in range(data.ConsumeIntInRange(0, 12))]
    endings = [_ending(data) for _ in range(data.ConsumeIntInRange(0, 6))]
    asked = {names.HEADER: "X-Account"}
    if accounts:
        asked[names.HEADER_VALUES] = " ".join(f"{MARK}{account}" for account in accounts)
    if endings:
        asked[names.HEADER_SUFFIXES] = ",".join(endings)
    _raise(contract.door_flaws(asked) if accounts or endings else [])


def _of(data: "atheris.FuzzedDataProvider", characters: str, least: int, most: int) -> str:
    count = data.ConsumeIntInRange(least, most)
    return "".join(characters[data.ConsumeIntInRange(0, len(characters) - 1)] for _ in range(count))


def _ending(data: "atheris.FuzzedDataProvider") -> str:
    width = data.ConsumeIntInRange(1, 4)
    digits = "0123456789abcdef" if data.ConsumeBool() else "0123456789"
    first, last = sorted((_of(data, digits, width, width), _of(data, digits, width, width)))
    return f"{first}-{last}" if data.ConsumeBool() else first


def decoded(raw: bytes) -> None:
    """Read bytes as a pattern that somebody may have put on a canary Ingress."""
    _raise(contract.pattern_flaws(raw.decode("utf-8", "replace")))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "intent": intent,
    "pattern": pattern,
    "decoded": decoded,
}


def _raise(found: list[str]) -> None:
    if found:
        raise AssertionError("\n".join(found))


if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
