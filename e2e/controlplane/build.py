"""Builds the control plane once, into a cache outside the tree: `python -m e2e.controlplane.build`.

The sources come through the Go module proxy, as `go.mod` and `go.sum` name them.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager")
"""The names by which the one binary is called."""
OLDEST_GO = (1, 26)
_BINARY = "controlplane"


class CannotBuildError(Exception):
    """The control plane is not there and cannot be built; the message says what is missing."""


def built() -> Path:
    """Answer the folder of the programs, and build them first if they are not there.

    Raises:
        CannotBuildError: Go is missing or too old, or the build ended with an error.
    """
    folder = _cache() / _digest()
    if (folder / PROGRAMS[-1]).exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever else builds the same is waited for
        if not folder.exists():
            _build(folder)
    return folder


def kubernetes_version() -> str:
    """Answer the version of Kubernetes that `go.mod` names."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", _read("go.mod"), re.MULTILINE)
    assert found
    return found[1]


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "serinus" / "controlplane"


def _digest() -> str:
    """Answer what a build depends on, as a short name."""
    texts = [*(_read(name) for name in ("go.mod", "go.sum", "main.go")), _go_version(), *_flags()]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _read(name: str) -> str:
    return (SOURCES / name).read_text()


def _go_version() -> str:
    needed = ".".join(map(str, OLDEST_GO))
    if shutil.which("go") is None:
        raise CannotBuildError(
            f"go is not installed: the control plane is built from its sources by Go {needed} "
            "or newer (https://go.dev/dl)"
        )
    version = _go("env", "GOVERSION").strip()
    found = re.match(r"go(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise CannotBuildError(f"go is {version}: the control plane needs Go {needed} or newer")
    return version


def _go(*words: str) -> str:
    done = subprocess.run(
        ["go", *words],
        cwd=SOURCES,
        env={**os.environ, "GOTOOLCHAIN": "local"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotBuildError(f"go {' '.join(words[:2])} ended with {done.returncode}")
    return done.stdout


def _flags() -> list[str]:
    """Build the flags: without the version, `/version` would not say which server this is."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    words = [f"-X {package}.{name}={value}" for name, value in named.items()]
    return ["-trimpath", "-buildvcs=false", "-ldflags", " ".join(["-s", "-w", *words])]


def _build(folder: Path) -> None:
    print(
        f"building etcd and Kubernetes {kubernetes_version()} into {folder}: "
        "once, 8 minutes on 2 idle cores, up to 25 on busy ones; 3 GB of memory to link",
        file=sys.stderr,
        flush=True,
    )
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix="draft-"))
    try:
        _go("mod", "download")
        _go("build", *_flags(), "-o", str(draft / _BINARY), ".")
        for name in PROGRAMS:
            (draft / name).symlink_to(_BINARY)
        draft.chmod(0o755)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def main() -> None:
    """Build, and print where."""
    try:
        print(built())
    except CannotBuildError as error:
        sys.exit(f"make controlplane: {error}")


if __name__ == "__main__":
    main()
