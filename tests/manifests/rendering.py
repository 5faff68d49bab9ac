"""Manifests as they reach the API server: rendered by kubectl, or by Helm where it is installed."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.bed.children import MissingProgramError, program

Manifest = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
CHART = MANIFESTS / "chart"
OVERLAYS = ("cluster", "namespaces")


@cache
def kustomized(folder: str) -> tuple[Manifest, ...]:
    """Render a folder under `manifests`, or one with an absolute path."""
    try:
        kubectl = program("kubectl")
    except MissingProgramError as error:
        pytest.skip(str(error))
    return _documents([str(kubectl), "kustomize", str(MANIFESTS / folder)])


def charted(*arguments: str, namespace: str = "serinus-system") -> tuple[Manifest, ...]:
    """Render the chart; skips where Helm is not installed."""
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("helm is not installed")
    fixed = ["-n", namespace, "--kube-version", "1.37.2"]
    return _documents([helm, "template", "serinus", str(CHART), *fixed, *arguments])


def read(path: Path) -> tuple[Manifest, ...]:
    """Read a file of manifests as it lies there."""
    return tuple(it for it in yaml.safe_load_all(path.read_text(encoding="utf-8")) if it)


def only(manifests: tuple[Manifest, ...], kind: str, name: str = "serinus") -> Manifest:
    """Return the one manifest of this kind and name."""
    (found,) = (it for it in manifests if (it["kind"], it["metadata"]["name"]) == (kind, name))
    return found


def key(manifest: Manifest) -> tuple[str, str, str]:
    """Return what tells a manifest from every other."""
    meta = manifest["metadata"]
    return manifest["kind"], meta.get("namespace", ""), meta["name"]


def _documents(command: list[str]) -> tuple[Manifest, ...]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(it for it in yaml.safe_load_all(done.stdout) if it)
