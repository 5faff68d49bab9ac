"""Inputs that a fuzzer makes from the branches it has reached: atheris, one target a process.

A finding ends the process with a traceback and leaves the input in the current folder.
"""

import sys
from collections.abc import Callable, Mapping

import atheris

with atheris.instrument_imports(include=["controller.api", "controller.plan.traffic"]):
    from controller.api import names
    from tests.fuzz import contract

Bytes = "atheris.FuzzedDataProvider"
KEYS = (*names.USER_KEYS, "serinus.dev/wieght", names.STATUS)
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
    annotations = {
        data.PickValueInList(list(KEYS)): _text(data) for _ in range(data.ConsumeIntInRange(0, 6))
    }
    _raise(contract.flaws(annotations, weight))


def pattern(raw: bytes) -> None:
    """Read bytes as accounts and endings, and ask every engine about their pattern."""
    data = atheris.FuzzedDataProvider(raw)
    accounts = " ".join(_text(data) for _ in range(data.ConsumeIntInRange(0, 12)))
    endings = ",".join(
        data.PickValueInList(["0", "7", "00-04", "a-f"]) if data.ConsumeBool() else _text(data)
        for _ in range(data.ConsumeIntInRange(0, 6))
    )
    asked = {names.HEADER: "X-Account"}
    if accounts.strip():
        asked[names.HEADER_VALUES] = accounts
    if endings:
        asked[names.HEADER_SUFFIXES] = endings
    _raise(contract.flaws(asked))


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
