"""Figures as messages show them: short, and never more exact than they are."""

import math

_SHOWN = math.log(1e6)


def number_text(number: float) -> str:
    """Return a count, rounded, with commas: `1,240`."""
    return f"{number:,.0f}"


def share_text(share: float) -> str:
    """Return a share in percent, with two digits that say something: `0.24 %`."""
    return f"{float(f'{100 * share:.2g}'):g} %"


def ratio_text(ratio: float) -> str:
    """Return how many times one share is another: `0.48x`, `11x`, `123x`."""
    return f"{number_text(ratio)}x" if ratio >= 100 else f"{ratio:.2g}x"


def evidence_text(logarithm: float, limit: float) -> str:
    """Return an e-value beside its limit: `4.1 of 100`."""
    value = "over 1,000,000" if logarithm > _SHOWN else _value_text(math.exp(logarithm))
    return f"{value} of {number_text(math.exp(limit))}"


def _value_text(value: float) -> str:
    return number_text(value) if value >= 10 else f"{value:.1f}"


def time_text(seconds: float) -> str:
    """Return a length of time in its largest unit that fits: `45 s`, `32 min`, `5 h`, `3 d`."""
    for length, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"
