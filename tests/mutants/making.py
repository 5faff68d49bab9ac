"""Makes the mutants of some modules: mutmut's operators, in a copy of the project."""

import difflib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mutmut.mutation.file_mutation import MutatedFile, mutate_file_contents

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).parents[2]
COPIED = ("controller", "tests", "e2e", "docs", "manifests", "README.md", "pyproject.toml")
"""What the unit tests read."""


def modules_of(patterns: Sequence[str]) -> list[Path]:
    """Return the files of the core, or those whose path holds one of the words."""
    found = [*ROOT.glob("controller/api/*.py"), *ROOT.glob("controller/plan/**/*.py")]
    paths = sorted(path.relative_to(ROOT) for path in found)
    return [path for path in paths if not patterns or any(it in str(path) for it in patterns)]


def copied(into: Path) -> None:
    """Copy what the tests need."""
    for name in COPIED:
        source, target = ROOT / name, into / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def made(into: Path, path: Path) -> list[Mutant]:
    """Write a module with all its mutants in the place of its copy, and name them."""
    source = (ROOT / path).read_text(encoding="utf-8")
    mutated = mutate_file_contents(str(path), source)
    (into / path).write_text(mutated.code, encoding="utf-8")
    module = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
    lines = mutated.code.splitlines()
    return [
        Mutant(module=module, name=name, **_changes(mutated, lines, name))
        for name in mutated.mutant_names
    ]


def _changes(mutated: MutatedFile, lines: Sequence[str], name: str) -> dict[str, str]:
    original = _body(mutated, lines, name.partition("__mutmut_")[0] + "__mutmut_orig")
    changed = list(difflib.ndiff(original, _body(mutated, lines, name)))
    return {
        "before": _joined(line for line in changed if line.startswith("- ")),
        "after": _joined(line for line in changed if line.startswith("+ ")),
    }


def _body(mutated: MutatedFile, lines: Sequence[str], name: str) -> list[str]:
    span = mutated.line_span_by_function_name[name]
    return [line.replace(name, "") for line in lines[span.start - 1 : span.end]]


def _joined(lines: Iterator[str]) -> str:
    return " ".join(line[2:].strip() for line in lines)
