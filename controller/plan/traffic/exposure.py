"""What a canary is exposed to, whatever data plane carries it."""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Who reaches the canary: the doors of routing.md, all open at the same time.

    Attributes:
        weight: percent of the requests that no rule decides.
        header: name of the account header; None where no header rule stands.
        accounts: values of it that reach the canary.
        suffix: canonical text of the endings that do (`pattern.suffix_text`), "" without.
        share: share of users whose id ends so.
        cookie: name of the cookie visitors may set; None: only the closing name stands.
    """

    weight: int = 0
    header: str | None = None
    accounts: frozenset[str] = frozenset()
    suffix: str = ""
    share: Fraction = Fraction(0)
    cookie: str | None = None

    def meet(self, other: "Exposure") -> "Exposure":
        """Return the widest exposure that neither side would call a raise.

        Of two header rules on different headers nothing is common; endings are one set: they stay
        only where both sides have the same.
        """
        same_header = self.header == other.header
        accounts = self.accounts & other.accounts if same_header else frozenset()
        suffix = self.suffix if same_header and self.suffix == other.suffix else ""
        return Exposure(
            weight=min(self.weight, other.weight),
            header=self.header if accounts or suffix else None,
            accounts=accounts,
            suffix=suffix,
            share=self.share if suffix else Fraction(0),
            cookie=self.cookie if self.cookie == other.cookie else None,
        )

    def is_within(self, other: "Exposure") -> bool:
        """Tell whether nobody reaches the canary here who would not reach it there."""
        return self.meet(other).doors == self.doors

    @property
    def doors(self) -> tuple[object, ...]:
        """Return what routing depends on: all but the figure that follows from the endings."""
        return (self.weight, self.header, self.accounts, self.suffix, self.cookie)

    @property
    def is_open(self) -> bool:
        """Tell whether any request can reach the canary (safety.md section 3, "Exposed")."""
        return self.weight > 0 or self.header is not None or self.cookie is not None

    @property
    def of_all(self) -> Fraction:
        """Return e of safety.md section 3: the share of everybody's requests.

        Worked example: endings that catch 5 % and weight 20: 0.05 + 0.95 x 0.2 = 24 %.
        """
        undecided = Fraction(self.weight, 100)
        return self.share + (1 - self.share) * undecided if self.share else undecided

    def pods_needed(self, full: int) -> int:
        """Return need_c: ready canary pods for this exposure when `full` carry everything."""
        everybody = self.of_all
        needed = max(1, ceil(everybody * full))
        return max(2, needed) if everybody > 0 and full >= 2 else needed

    def stable_needed(self, full: int) -> int:
        """Return need_s: ready stable pods for what this exposure leaves there."""
        return max(1, ceil((1 - self.of_all) * full))

    def at_weight(self, weight: int) -> "Exposure":
        """Return the same rules with another weight."""
        return replace(self, weight=weight)

    def limited_to(self, pods: int, full: int) -> "Exposure":
        """Return the widest part of this exposure that `pods` can carry: the weight goes first."""
        if self.pods_needed(full) <= pods:
            return self
        lower = (self.at_weight(weight) for weight in range(self.weight - 1, -1, -1))
        fitting = next((part for part in lower if part.pods_needed(full) <= pods), None)
        if fitting is not None:
            return fitting
        only_accounts = replace(self.at_weight(0), suffix="", share=Fraction(0))
        return only_accounts if self.accounts else replace(only_accounts, header=None)


CLOSED = Exposure()
"""Nobody reaches the canary."""
