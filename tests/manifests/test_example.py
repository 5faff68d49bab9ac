"""The example is an application as its owner would write it, and can be enrolled as it is."""

from controller.api import intent, names, objects
from controller.plan.hold import is_declared
from controller.plan.workload import warnings
from tests.manifests.rendering import kustomized, only


def test_its_annotations_are_accepted() -> None:
    service = only(kustomized("example"), "Service", "myapp")
    parsed = intent.parse(objects.annotations_of(service))
    assert parsed.faults == ()
    assert objects.labels_of(service)[names.CANARY] == names.ENABLED


def test_its_parts_meet() -> None:
    example = kustomized("example")
    service, deployment = only(example, "Service", "myapp"), only(example, "Deployment", "myapp")
    (rule,) = only(example, "Ingress", "myapp")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    (port,) = service["spec"]["ports"]
    assert objects.is_selected(service["spec"]["selector"], objects.template_labels(deployment))
    assert objects.backend_service(path) == "myapp"
    assert path["backend"]["service"]["port"] == {"number": port["port"]}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"containerPort": port["targetPort"]}]


def test_its_deployment_leaves_the_pause_alone_and_nothing_about_it_is_risky() -> None:
    deployment = only(kustomized("example"), "Deployment", "myapp")
    assert not is_declared(deployment)
    assert warnings(deployment, ()) == ()
