"""What a cluster had seen when its scenarios were over."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """Something a scenario measured, and what it may be at most."""

    what: str
    value: int
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Closing:
    """The end of one cluster.

    Attributes:
        name: How its Deployments were held.
        figures: What its scenarios measured.
        requests: Sent through the proxy.
        lost: Those of loads that failed, and should not have.
        excused: Those that failed in seconds in which the control application failed too.
        bad_seconds: How many such seconds there were, with or without a failure beside.
        control_failed: Requests to the control application that failed.
        asked: How often the controller asked the API server.
        forbidden: What it was not allowed to do.
        left: What is left of it after everything was un-enrolled.
    """

    name: str
    figures: Sequence[Figure]
    requests: int
    lost: int
    excused: int
    bad_seconds: int
    control_failed: int
    asked: int
    forbidden: Sequence[str]
    left: Sequence[str]

    @property
    def exceeded(self) -> list[Figure]:
        """Answer the figures over their limit."""
        return [figure for figure in self.figures if figure.value > figure.limit]


CLOSINGS: list[Closing] = []
"""Of this process, in the order of their ends; for whoever reports."""
