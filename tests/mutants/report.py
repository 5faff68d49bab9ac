"""Tells which mutants survived, why that is, and what the score is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.mutants.mutant import Mutant

REASONS = Path(__file__).with_name("survivors.yaml")
"""The survivors that are looked through: a list of `reason` and `mutants`, as `sentence` has it."""
KILLED = ("killed", "timeout")
WORDING = "wording: the words of a message, of which tests compare what matters"


def score(verdicts: Mapping[str, int]) -> float:
    """Return the share that was noticed, in percent."""
    killed = sum(verdicts.get(word, 0) for word in KILLED)
    total = sum(verdicts.values())
    return 100 * killed / total if total else 100.0


def sentence(mutant: Mutant) -> str:
    """Return what stays the same while the code around it changes."""
    return f"{mutant.where}: {mutant.before} => {mutant.after}"


def reasons(text: str) -> dict[str, str]:
    """Read why mutants may survive: by their sentence."""
    entries: list[dict[str, Any]] = yaml.safe_load(text) or []
    return {mutant: entry["reason"] for entry in entries for mutant in entry["mutants"]}


def lines(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> Iterator[str]:
    """Yield the report; the last line is the closing line."""
    yield from _modules(mutants, verdicts)
    yield ""
    yield from survivors(mutants, verdicts, reasons(REASONS.read_text(encoding="utf-8")))
    told = sum(mutant.is_wording for mutant in mutants)
    behaviour = Counter(verdicts[it.key] for it in mutants if not it.is_wording)
    yield f"{told} of them change nothing but words; without these {score(behaviour):.1f} %"
    counts = Counter(verdicts.values())
    killed = sum(counts[word] for word in KILLED)
    yield f"mutants: {len(mutants)}, killed {killed}, score {score(counts):.1f} %"


def survivors(
    mutants: Sequence[Mutant], verdicts: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[str]:
    """Yield how many survived for which reason, then each that has none."""
    survived = [mutant for mutant in mutants if verdicts[mutant.key] not in KILLED]
    why = {mutant: _why(mutant, known) for mutant in survived}
    for reason, count in sorted(Counter(it for it in why.values() if it).items()):
        yield f"{count:5} {reason}"
    for mutant, reason in why.items():
        if not reason:
            yield f"without a reason: {verdicts[mutant.key]} {sentence(mutant)}"


def _why(mutant: Mutant, known: Mapping[str, str]) -> str:
    return WORDING if mutant.is_wording else known.get(sentence(mutant), "")


def _modules(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> Iterator[str]:
    found: dict[str, Counter[str]] = {}
    for mutant in mutants:
        found.setdefault(mutant.module, Counter())[verdicts[mutant.key]] += 1
    yield f"{'module':32} {'mutants':>8} {'killed':>8} {'by time':>8} {'score':>8}"
    for module, counts in found.items():
        numbers = counts.total(), sum(counts[word] for word in KILLED), counts["timeout"]
        yield f"{module:32} {' '.join(f'{it:8}' for it in numbers)} {score(counts):6.1f} %"
