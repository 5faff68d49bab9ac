"""The image holds what runs and nothing else; its install steps work in a clean directory."""

import compileall
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import controller
from e2e.bed.children import program
from tests.manifests.rendering import MANIFESTS

ROOT = MANIFESTS.parent
IMAGE = MANIFESTS / "image"
INSTALL = IMAGE / "install"
OFFLINE = re.compile(r"NewConnectionError|NameResolutionError|ConnectTimeout|Max retries")


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile: the word, and the rest of the line."""
    text = (IMAGE / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, its FROM first."""
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def test_the_dockerfile_passes_a_linter() -> None:
    done = subprocess.run(
        [program("hadolint"), "--no-color", "--failure-threshold=style", IMAGE / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_every_instruction_is_one_that_is_meant() -> None:
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "EXPOSE", "ENTRYPOINT"}
    assert {word for word, _ in instructions()} <= known


def test_the_base_is_a_version_of_python_that_the_project_needs() -> None:
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG")
    assert re.fullmatch(r"python:3\.1[1-9]-slim", arguments["BASE"])
    assert [rest for word, rest in instructions() if word == "FROM"] == [
        "${BASE} AS build",
        "${RUNTIME}",
    ]


def test_the_last_stage_runs_nothing_and_copies_what_the_first_made() -> None:
    _, last = stages()
    assert "RUN" not in {word for word, _ in last}
    assert [rest for word, rest in last if word == "COPY"] == [
        "--from=build /opt/serinus /opt/serinus"
    ]


def test_no_shell_is_needed_and_nobody_is_root() -> None:
    _, last = stages()
    words = dict(last)
    assert words["ENTRYPOINT"] == '["python3", "-m", "controller"]'
    user, group = words["USER"].split(":")
    assert min(int(user), int(group)) > 0
    assert "CMD" not in words


def test_every_path_that_is_copied_is_there_and_is_let_through() -> None:
    build, _ = stages()
    ignored = (IMAGE / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    sources = [rest.split()[0] for word, rest in build if word == "COPY"]
    assert all((ROOT / source).exists() for source in sources)
    assert {f"!{source}" for source in sources} == {it for it in ignored if it.startswith("!")}


def test_the_steps_are_those_that_are_tested_here() -> None:
    build, _ = stages()
    assert [rest for word, rest in build if word == "RUN"] == [
        '["sh", "manifests/image/install", "/opt/serinus"]'
    ]


def test_a_user_without_an_entry_has_a_home() -> None:
    assert environment()["HOME"] == "/"
    assert environment()["PYTHONPATH"] == "/opt/serinus"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the install steps where nothing is but what the Dockerfile copies."""
    folder = tmp_path_factory.mktemp("image")
    build, _ = stages()
    for source in (rest.split()[0] for word, rest in build if word == "COPY"):
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, target)
    target = folder / "opt"
    done = subprocess.run(
        ["sh", "manifests/image/install", str(target)],
        cwd=folder,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and OFFLINE.search(done.stderr):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return target


def environment() -> dict[str, str]:
    """Return the environment that the last stage sets."""
    _, last = stages()
    (text,) = (rest for word, rest in last if word == "ENV")
    return dict(pair.split("=", 1) for pair in text.split())


def run(installed: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the program as the image does, without anything of this environment."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "controller", *arguments],
        cwd="/",
        env={**environment(), "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_what_was_installed_starts(installed: Path) -> None:
    done = run(installed, "--version")
    assert (done.returncode, done.stdout) == (0, f"serinus {controller.__version__}\n")


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_what_was_installed_has_all_that_a_start_imports(installed: Path) -> None:
    done = run(installed, "--kubeconfig=/nowhere")
    assert done.returncode == 2, done.stderr
    assert "/nowhere" in done.stderr


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_every_module_is_compiled_and_stays_so(installed: Path) -> None:
    sources = [path for path in installed.rglob("*.py") if "lib2to3" not in path.parts]
    tag = sys.implementation.cache_tag
    missing = [
        path
        for path in sources
        if not (path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc").exists()
        and compileall.compile_file(path, quiet=2, legacy=False)
    ]
    assert missing == []
    compiled = installed / "controller" / "__pycache__" / f"manager.{tag}.pyc"
    assert int.from_bytes(compiled.read_bytes()[4:8], "little") == 0b01, "hash based, unchecked"


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_nothing_is_there_that_could_install_or_test(installed: Path) -> None:
    there = {path.name for path in installed.iterdir()}
    assert not there & {"bin", "pip", "setuptools", "pytest", "e2e", "tests", "hatchling"}


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_everybody_may_read_it_and_nobody_else_may_write(installed: Path) -> None:
    modes = {path: path.stat().st_mode for path in installed.rglob("*")}
    assert [path for path, mode in modes.items() if not mode & 0o004 or mode & 0o022] == []


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_it_is_not_installed_over_something(installed: Path) -> None:
    done = subprocess.run(
        ["sh", str(INSTALL), str(installed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "is there already" in done.stderr
