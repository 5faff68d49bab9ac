"""The chart is the same objects as the overlays.

Where Helm is not installed, only its values, templates and files are held against each other.
"""

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
import yaml

import controller
from tests.manifests.rendering import CHART, MANIFESTS, Manifest, charted, key, kustomized, only

TEMPLATES = sorted((CHART / "templates").iterdir())
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in TEMPLATES}
ACTION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
VALUES: Mapping[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of every value; an empty mapping is one for its user to fill."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def mentioned() -> set[str]:
    actions = [action for text in TEXTS.values() for action in ACTION.findall(text)]
    return {name for it in actions for name in re.findall(r"\.Values\.([\w.]+)", it)}


def test_every_value_is_used_and_every_used_value_is_there() -> None:
    assert mentioned() == set(leaves(VALUES))


def test_every_value_can_be_read_about_beside_it_or_by_its_name() -> None:
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "\t" not in text


@pytest.mark.parametrize("name", TEXTS)
def test_every_block_of_a_template_is_ended(name: str) -> None:
    depth = 0
    for action in ACTION.findall(TEXTS[name]):
        word = action.strip("{}- \n").split()[0]
        depth += (word in {"if", "range", "with", "define"}) - (word == "end")
        assert depth >= 0
    assert depth == 0


def test_every_included_template_and_every_file_is_there() -> None:
    every = "\n".join(TEXTS.values())
    defined = set(re.findall(r'define "([\w.]+)"', every))
    assert set(re.findall(r'include "([\w.]+)"', every)) == defined
    files = set(re.findall(r'"serinus.file" \(list \. "([^"]+)"', every))
    files |= {
        f"policies/{it}.yaml" for it in re.findall(r'"serinus.policy" \(list \. "(\w+)"', every)
    }
    assert [it for it in files if not (CHART / it).is_file()] == []


def test_every_file_that_an_overlay_applies_is_in_the_chart() -> None:
    every = "\n".join(TEXTS.values())
    folders = {
        "base": "base/{}.yaml",
        "rights": "rights/{}.yaml",
        "components/monitoring": "monitoring/{}.yaml",
    }
    for folder, pattern in folders.items():
        listed = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text("utf-8"))
        for name in listed["resources"]:
            stem = name.removesuffix(".yaml")
            assert pattern.format(stem) in every or stem == "namespace"
    policies = yaml.safe_load((MANIFESTS / "policies" / "kustomization.yaml").read_text("utf-8"))
    assert all(f'"{it.removesuffix(".yaml")}"' in every for it in policies["resources"])


@pytest.mark.parametrize("name", ["base", "rights", "policies", "monitoring"])
def test_the_chart_has_no_copy_of_its_own(name: str) -> None:
    origin = MANIFESTS / ("components/monitoring" if name == "monitoring" else name)
    assert (CHART / name).is_symlink()
    assert (CHART / name).resolve() == origin


def test_the_texts_that_are_replaced_are_there() -> None:
    policies = {path.stem: path.read_text("utf-8") for path in (CHART / "policies").glob("*.yaml")}
    assert "'serinus-system'" in policies["fence"]
    assert "'serinus-system'" in policies["requester"]
    assert "\"'nginx.ingress.kubernetes.io'\"" in policies["fence"]
    for path in (*(CHART / "base").glob("*.yaml"), *(CHART / "monitoring").glob("*.yaml")):
        if path.stem not in {"kustomization", "namespace"}:
            assert "namespace: serinus-system" in path.read_text("utf-8"), path.name


def test_the_chart_has_the_version_of_the_code() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert [chart["version"], chart["appVersion"]] == [controller.__version__] * 2


def plain(manifests: tuple[Manifest, ...]) -> dict[tuple[str, str, str], Manifest]:
    """Index manifests, without what the chart leaves to Helm and without an order of variables."""
    found = {key(it): deepcopy(it) for it in manifests if it["kind"] != "Namespace"}
    for manifest in found.values():
        if manifest["kind"] == "Deployment":
            (container,) = manifest["spec"]["template"]["spec"]["containers"]
            container["env"] = sorted(container["env"], key=lambda entry: str(entry["name"]))
            container.setdefault("imagePullPolicy", "IfNotPresent")
    return found


def test_rendered_for_the_cluster_it_is_the_overlay() -> None:
    assert plain(charted()) == plain(kustomized("overlays/cluster"))


def test_rendered_for_namespaces_it_is_the_overlay() -> None:
    rendered = charted("--set", "namespaces={canary}")
    assert plain(rendered) == plain(kustomized("overlays/namespaces"))


def test_every_value_reaches_what_it_is_for() -> None:
    rendered = charted(
        *("--set", "image.repository=mirror,image.tag=9,image.pullSecrets={key}"),
        *("--set", "replicas=3,nodeSelector.disk=ssd,resources.limits.memory=1Gi"),
        *("--set", "tolerations[0].operator=Exists,settings.SERINUS_WORKERS=4,hold=pause"),
        *("--set", "ingressClasses={one,two},annotationPrefix=other.example"),
        *("--set", "networkPolicy=false,monitoring=true,policies.hold=false"),
        namespace="elsewhere",
    )
    deployment = only(rendered, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (deployment["metadata"]["namespace"], deployment["spec"]["replicas"]) == ("elsewhere", 3)
    assert (container["image"], pod["imagePullSecrets"]) == ("mirror:9", [{"name": "key"}])
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "ssd"}, [{"operator": "Exists"}])
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert {it["name"]: it["value"] for it in container["env"]} == {
        "SERINUS_ANNOTATION_PREFIX": "other.example",
        "SERINUS_HOLD": "pause",
        "SERINUS_HTTP_ADDRESS": ":8080",
        "SERINUS_INGRESS_CLASS": "one,two",
        "SERINUS_WORKERS": "4",
    }
    text = str(rendered)
    assert "serinus-system" not in text
    assert "nginx.ingress.kubernetes.io" not in text
    assert {it["kind"] for it in rendered} & {"MutatingAdmissionPolicy"} == set()
    assert [key(it)[2] for it in rendered if it["kind"] == "NetworkPolicy"] == ["serinus-metrics"]
    assert only(rendered, "PrometheusRule")
