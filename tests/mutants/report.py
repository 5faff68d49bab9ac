"""Tells which mutants survived, why that is, and what the score is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.mutants.mutant import Mutant

REASONS = Path(__file__).with_name("survivors.yaml")
"""The survivors that are looked through: a list of `reason` and `mutants`, as `sentence` has it.

One that ends in `=> *` stands for every change of that line.
"""
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


def lines(
    mutants: Sequence[Mutant], verdicts: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[str]:
    """Yield the report; the last line is the closing line."""
    yield from _modules(mutants, verdicts)
    yield ""
    yield from survivors(mutants, verdicts, known)
    yield from complaints(mutants, verdicts, known)
    told = sum(mutant.is_wording for mutant in mutants)
    behaviour = Counter(verdicts[it.key] for it in mutants if not it.is_wording)
    yield f"{told} of them change nothing but words; without these {score(behaviour):.1f} %"
    counts = Counter(verdicts.values())
    killed = sum(counts[word] for word in KILLED)
    yield f"mutants: {len(mutants)}, killed {killed}, score {score(counts):.1f} %"


def survivors(
    mutants: Sequence[Mutant], verdicts: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[str]:
    """Yield how many survived for which reason."""
    survived = _survived(mutants, verdicts)
    why = Counter(_why(mutant, known) for mutant in survived)
    yield from (f"{count:5} {reason}" for reason, count in sorted(why.items()) if reason)


def complaints(
    mutants: Sequence[Mutant], verdicts: Mapping[str, str], known: Mapping[str, str]
) -> Iterator[str]:
    """Yield each survivor without a reason, and each reason without a survivor."""
    survived = _survived(mutants, verdicts)
    for mutant in survived:
        if not _why(mutant, known):
            yield f"without a reason: {verdicts[mutant.key]} {sentence(mutant)}"
    needed = {text for mutant in survived for text in _entries(mutant)}
    paths = {mutant.where.partition(" ")[0] for mutant in mutants}
    for text in known:
        if text.partition(" ")[0] in paths and text not in needed:
            yield f"needs no reason any more: {text}"


def weakest(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> float:
    """Return the score of the module with the lowest one, in percent."""
    return min(map(score, _counted(mutants, verdicts).values()), default=100.0)


def _survived(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> list[Mutant]:
    return [mutant for mutant in mutants if verdicts[mutant.key] not in KILLED]


def _entries(mutant: Mutant) -> tuple[str, str]:
    """Return the two ways in which a reason may name a mutant."""
    return sentence(mutant), f"{mutant.where}: {mutant.before} => *"


def _why(mutant: Mutant, known: Mapping[str, str]) -> str:
    found = [known[text] for text in _entries(mutant) if text in known]
    return (*found, WORDING if mutant.is_wording else "")[0]


def _counted(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for mutant in mutants:
        found.setdefault(mutant.module, Counter())[verdicts[mutant.key]] += 1
    return found


def _modules(mutants: Sequence[Mutant], verdicts: Mapping[str, str]) -> Iterator[str]:
    yield f"{'module':32} {'mutants':>8} {'killed':>8} {'by time':>8} {'score':>8}"
    for module, counts in _counted(mutants, verdicts).items():
        numbers = counts.total(), sum(counts[word] for word in KILLED), counts["timeout"]
        yield f"{module:32} {' '.join(f'{it:8}' for it in numbers)} {score(counts):6.1f} %"
