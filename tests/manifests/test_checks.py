"""What an administrator takes to let metrics decide: flags that exist, and the way to that port."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controller.settings import from_arguments
from tests.manifests.rendering import MANIFESTS, OVERLAYS, kustomized, only, read

CHECKS = MANIFESTS / "components" / "checks"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_with_the_component_starts_with_a_metrics_server(
    overlay: str, tmp_path: Path
) -> None:
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\n"
        "kind: Kustomization\n"
        f"resources: [{relative(MANIFESTS / 'overlays' / overlay / 'controller', tmp_path)}]\n"
        f"components: [{relative(CHECKS, tmp_path)}]\n"
    )
    rendered = kustomized(str(tmp_path))
    pod = only(rendered, "Deployment")["spec"]["template"]["spec"]
    environ = {it["name"]: it["value"] for it in pod["containers"][0]["env"]}
    settings = from_arguments([], environ)
    assert settings.prometheus_url is not None
    assert settings.dialect != "common"
    allowed = only(rendered, "NetworkPolicy", "serinus-checks")["spec"]["egress"]
    ports = {port["port"] for rule in allowed for port in rule["ports"]}
    assert urlsplit(settings.prometheus_url).port in ports
    assert {it["name"] for it in pod["containers"][0]["env"]} > {"SERINUS_HOLD"}


def relative(folder: Path, start: Path) -> str:
    """Return the way from one folder to another: kustomize takes no absolute one."""
    up = "../" * (len(start.resolve().parts) - 1)
    return up + str(folder.resolve()).lstrip("/")


def test_the_way_out_is_for_the_controllers_pods_alone() -> None:
    policy = only(read(CHECKS / "network.yaml"), "NetworkPolicy", "serinus-checks")["spec"]
    base = only(read(MANIFESTS / "base" / "network.yaml"), "NetworkPolicy")["spec"]
    assert policy["podSelector"] == base["podSelector"]
    assert policy["policyTypes"] == ["Egress"]
    assert all(rule["to"] for rule in policy["egress"])
