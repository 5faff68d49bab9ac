"""Both overlays are complete, restricted, and say the same thing in one place."""

import shutil
from pathlib import Path

import pytest

import controller
from controller.settings import FLAGS, Settings, from_arguments
from controller.stores import INDEXES
from e2e.rbac import granted
from tests.manifests.rendering import MANIFESTS, OVERLAYS, Manifest, key, kustomized, only

CLUSTER_SCOPED = {
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}


def environment_of(deployment: Manifest) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def settings_of(overlay: str) -> Settings:
    deployment = only(kustomized(f"overlays/{overlay}"), "Deployment")
    return from_arguments([], {**environment_of(deployment), "KUBERNETES_SERVICE_HOST": "here"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_one_that_the_controller_reads(overlay: str) -> None:
    written = environment_of(only(kustomized(f"overlays/{overlay}"), "Deployment"))
    assert written.keys() <= {flag.variable for flag in FLAGS}


def test_the_cluster_is_watched_as_a_whole() -> None:
    settings = settings_of("cluster")
    assert (settings.namespaces, settings.hold, settings.leader_elect) == ((), "auto", True)


def test_named_namespaces_are_those_that_rights_are_given_in() -> None:
    settings = settings_of("namespaces")
    rendered = kustomized("overlays/namespaces")
    roles = [it["metadata"] for it in rendered if it["kind"] == "Role"]
    given = {meta["namespace"] for meta in roles if meta["name"] == "serinus"}
    assert set(settings.namespaces) == given
    assert settings.hold == "pause"


def test_named_namespaces_need_nothing_of_the_cluster() -> None:
    assert not CLUSTER_SCOPED & {it["kind"] for it in kustomized("overlays/namespaces")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_has_a_namespace_where_it_can_have_one_and_none_elsewhere(overlay: str) -> None:
    for manifest in kustomized(f"overlays/{overlay}"):
        has_namespace = "namespace" in manifest["metadata"]
        assert has_namespace == (manifest["kind"] not in CLUSTER_SCOPED), key(manifest)


def test_both_overlays_give_the_same_rights() -> None:
    cluster, namespaces = (granted(kustomized(f"overlays/{it}")) for it in OVERLAYS)
    assert cluster == namespaces


def test_every_watched_kind_may_be_listed_and_watched() -> None:
    rights = granted(kustomized("rights"))
    watched = {(kind.group, kind.plural) for kind in INDEXES}
    for verb, more in (("list", {("", "pods")}), ("watch", set())):
        allowed = {(right.group, right.resource) for right in rights if right.verb == verb}
        assert allowed == watched | more


def test_pods_may_be_listed_and_nothing_else() -> None:
    """For the check `restarts`: no watch, and nothing that a pod could be changed by."""
    rights = granted(kustomized("rights"))
    assert {right.verb for right in rights if right.resource.startswith("pods")} == {"list"}
    assert not any(right.resource.startswith("pods/") for right in rights)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_right_is_a_wildcard_or_opens_what_is_not_ours_to_see(overlay: str) -> None:
    for right in granted(kustomized(f"overlays/{overlay}")):
        assert "*" not in "".join(right)
        assert right.resource not in {"secrets", "configmaps", "deployments/scale"}
        assert right.verb not in {"deletecollection", "escalate", "bind", "impersonate"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_is_restricted(overlay: str) -> None:
    pod = only(kustomized(f"overlays/{overlay}"), "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"volumes", "hostNetwork", "hostPID", "initContainers"} & pod.keys()
    assert "volumeMounts" not in container


def test_the_namespace_refuses_any_other_pod() -> None:
    labels = only(kustomized("overlays/cluster"), "Namespace", "serinus-system")["metadata"][
        "labels"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_token_is_mounted_into_our_pods_only(overlay: str) -> None:
    rendered = kustomized(f"overlays/{overlay}")
    pod = only(rendered, "Deployment")["spec"]["template"]["spec"]
    assert only(rendered, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is True
    assert pod["serviceAccountName"] == "serinus"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_probes_meet_the_address_the_controller_is_told(overlay: str) -> None:
    deployment = only(kustomized(f"overlays/{overlay}"), "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert settings_of(overlay).http_address == f":{port['containerPort']}"
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_whatever_selects_our_pods_does(overlay: str) -> None:
    rendered = kustomized(f"overlays/{overlay}")
    deployment = only(rendered, "Deployment")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    selectors = [
        deployment["selector"]["matchLabels"],
        only(rendered, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        only(rendered, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        only(rendered, "Service", "serinus-metrics")["spec"]["selector"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_has_the_version_of_the_code(overlay: str) -> None:
    pod = only(kustomized(f"overlays/{overlay}"), "Deployment")["spec"]["template"]["spec"]
    assert [it["image"] for it in pod["containers"]] == [f"serinus:{controller.__version__}"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_binding_names_the_account_and_a_role_that_is_there(overlay: str) -> None:
    rendered = kustomized(f"overlays/{overlay}")
    account = {"kind": "ServiceAccount", "name": "serinus", "namespace": "serinus-system"}
    for binding in (it for it in rendered if it["kind"] in ("RoleBinding", "ClusterRoleBinding")):
        role = binding["roleRef"]
        place = binding["metadata"].get("namespace", "") if role["kind"] == "Role" else ""
        assert (role["kind"], place, role["name"]) in {key(it) for it in rendered}
        assert binding["subjects"] == [account]


def test_one_change_moves_the_controller_with_all_that_names_it(tmp_path: Path) -> None:
    moved = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, moved, ignore=shutil.ignore_patterns("chart"))
    settings = moved / "overlays" / "cluster" / "controller" / "kustomization.yaml"
    text = settings.read_text(encoding="utf-8")
    text = text.replace("namespace: serinus-system", "namespace: elsewhere")
    text = text.replace("value: nginx.ingress.kubernetes.io", "value: other.example")
    settings.write_text(text, encoding="utf-8")
    rendered = kustomized(str(moved / "overlays" / "cluster"))
    assert "serinus-system" not in str(rendered)
    assert "nginx.ingress.kubernetes.io" not in str(rendered)
    fences = [it for it in rendered if it["kind"] == "ValidatingAdmissionPolicy"]
    for fence in (it for it in fences if it["metadata"]["name"] != "serinus-tell"):
        condition = fence["spec"]["matchConditions"][0]["expression"]
        assert condition.endswith("= 'system:serviceaccount:' + 'elsewhere' + ':' + 'serinus'")
    ingresses = only(rendered, "ValidatingAdmissionPolicy", "serinus-fence-ingresses")
    assert ingresses["spec"]["variables"][0]["expression"] == "'other.example'"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_monitoring_can_be_added(overlay: str, tmp_path: Path) -> None:
    more = tmp_path / "manifests"
    shutil.copytree(MANIFESTS, more, ignore=shutil.ignore_patterns("chart"))
    settings = more / "overlays" / overlay / "controller" / "kustomization.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("# components:\n# -", "components:\n-"), encoding="utf-8")
    rendered = kustomized(str(more / "overlays" / overlay))
    plain = {key(it) for it in kustomized(f"overlays/{overlay}")}
    assert {key(it) for it in rendered} - plain == {
        ("ServiceMonitor", "serinus-system", "serinus"),
        ("PrometheusRule", "serinus-system", "serinus"),
        ("NetworkPolicy", "serinus-system", "serinus-metrics"),
    }
