"""One small mistake in one function."""

import io
import re
import tokenize
from contextlib import suppress
from dataclasses import dataclass

PROSE = re.compile(r"""^[rf]?["'].*[\w{}'":;,] [\w{]""")
"""A string with words in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One small change of one function.

    Attributes:
        module: in full, such as `controller.plan.ramp`.
        name: as mutmut calls it, such as `x_advance__mutmut_3`.
        before, after: the lines that differ, each joined to one.
    """

    module: str
    name: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """As mutmut tells what is under test."""
        return f"{self.module}.{self.name}"

    @property
    def function(self) -> str:
        """The function that is changed, as mutmut counts calls of it."""
        return self.key.partition("__mutmut_")[0]

    @property
    def where(self) -> str:
        """Its place for a reader: `plan/ramp.py advance`."""
        path = self.module.removeprefix("controller.").replace(".", "/")
        name = self.name.partition("__mutmut_")[0].removeprefix("x").lstrip("_ǁ")
        return f"{path}.py {name.replace('ǁ', '.')}"

    @property
    def is_wording(self) -> bool:
        """Tell whether nothing but prose differs: a text with a space in it."""
        one, two = _tokens(self.before), _tokens(self.after)
        if len(one) != len(two):
            return False
        pairs = [pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]
        return bool(pairs) and all(PROSE.search(one) for one, _ in pairs)


def _tokens(text: str) -> list[str]:
    """Split a line into tokens; what is no whole expression ends early."""
    found: list[str] = []
    with suppress(tokenize.TokenError):
        found.extend(it.string for it in tokenize.generate_tokens(io.StringIO(text).readline))
    return found
