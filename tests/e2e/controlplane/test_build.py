"""Where the control plane is kept, and what is said when it cannot be built."""

from pathlib import Path

import pytest

from e2e.controlplane.build import CannotBuildError, built, kubernetes_version


def go(folder: Path, version: str) -> None:
    """Put a program `go` on PATH that knows its version, and cannot build."""
    path = folder / "go"
    path.write_text(f'#!/bin/sh\n[ "$1" = env ] && echo {version} || exit 1\n')
    path.chmod(0o755)


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_without_go_it_says_what_to_install() -> None:
    with pytest.raises(CannotBuildError, match=r"go is not installed: .* Go 1\.26 or newer"):
        built()


def test_an_old_go_is_named(tmp_path: Path) -> None:
    go(tmp_path, "go1.25.3")
    with pytest.raises(CannotBuildError, match=r"go is go1\.25\.3: .* needs Go 1\.26"):
        built()


def test_a_build_that_ends_leaves_nothing_that_looks_like_one(tmp_path: Path) -> None:
    go(tmp_path, "go1.26.8")
    with pytest.raises(CannotBuildError, match="go mod download ended with 1"):
        built()
    kept = [path.name for path in (tmp_path / "cache" / "serinus" / "controlplane").iterdir()]
    assert kept == ["lock"]


def test_the_version_is_the_one_of_the_sources() -> None:
    assert kubernetes_version().startswith("v1.")
