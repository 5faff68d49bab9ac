"""What a metrics server answers: series of samples, as numbers and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series over a stretch of time.

    Attributes:
        labels: its labels, without the metric's name.
        samples: (Unix time, value), oldest first; a value may be no number.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    samples: tuple[tuple[float, float], ...] = ()
