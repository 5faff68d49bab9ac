"""Amounts of resources as Kubernetes writes them: `500m`, `1Gi`."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

_DECIMAL = {
    "E": Decimal("1e18"),
    "P": Decimal("1e15"),
    "T": Decimal("1e12"),
    "G": Decimal("1e9"),
    "M": Decimal("1e6"),
    "k": Decimal("1e3"),
    "": Decimal(1),
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "n": Decimal("1e-9"),
}
"""The greatest first."""
_BINARY = ("Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_WRITTEN = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[KMGTPE]i|[numkMGTPE]|)")
_RULE = "quantities must match the regular expression '" + _WRITTEN.pattern + "'"


def amount_of(written: Any) -> Decimal:
    """Return the amount.

    Raises:
        ValueError: The text is no amount.
    """
    number, suffix = _read(written)
    if suffix in _BINARY:
        return number * Decimal(1024 ** (_BINARY.index(suffix) + 1))
    return number * _DECIMAL[suffix] if suffix in _DECIMAL else Decimal(str(written))


def canonical(written: Any) -> str:
    """Write an amount in the server's own way: `0.5` is `500m`, `1000m` is `1`.

    Raises:
        ValueError: The text is no amount.
    """
    number, suffix = _read(written)
    if suffix in _BINARY:
        return _binary(number, suffix)
    return _decimal(amount_of(written)) if suffix in _DECIMAL else str(written)


def _read(written: Any) -> tuple[Decimal, str]:
    found = None if isinstance(written, bool) else _WRITTEN.fullmatch(str(written))
    if found is None:
        raise ValueError(_RULE)
    try:
        return Decimal(found[1]), found[2]
    except InvalidOperation as error:
        raise ValueError(_RULE) from error


def _binary(number: Decimal, suffix: str) -> str:
    place = _BINARY.index(suffix)
    while number and number % 1024 == 0 and place < len(_BINARY) - 1:
        number, place = number / 1024, place + 1
    return f"{number.normalize():f}{_BINARY[place]}"


def _decimal(amount: Decimal) -> str:
    whole = ((suffix, amount / unit) for suffix, unit in _DECIMAL.items())
    found = ((s, scaled) for s, scaled in whole if scaled == scaled.to_integral_value())
    suffix, scaled = next(found, ("", amount)) if amount else ("", amount)
    return (
        f"{scaled:f}" + suffix if scaled != scaled.to_integral_value() else f"{scaled:.0f}{suffix}"
    )
