"""The audit log of the API server, read for what the controller did."""

import json
from pathlib import Path
from typing import Any

from e2e.bed.served import Write
from e2e.controlplane.audit import Audit

USER = "system:serviceaccount:serinus-system:serinus"
SERVICES = "/api/v1/namespaces/shop/services"


def line(verb: str = "patch", uri: str = f"{SERVICES}/a", **more: Any) -> dict[str, Any]:
    resource = uri.partition("?")[0].split("/")[5 if uri.startswith("/api/") else 6]
    return {
        "stage": "ResponseComplete",
        "verb": verb,
        "requestURI": uri,
        "user": {"username": USER},
        "objectRef": {"resource": resource},
        "responseStatus": {"code": 200},
        **more,
    }


def written(folder: Path, *lines: dict[str, Any]) -> Audit:
    path = folder / "audit.log"
    text = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in lines)
    path.write_text(text)
    return Audit(path=path, user=USER)


def test_writes_are_what_changed_somebodys_object(tmp_path: Path) -> None:
    lease = "/apis/coordination.k8s.io/v1/namespaces/serinus-system/leases/serinus"
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/-/-"
    audit = written(
        tmp_path,
        line(),
        line("get"),
        line("watch", f"{SERVICES}?watch=true"),
        line("patch", f"{SERVICES}/a?dryRun=All"),
        line("update", lease),
        line("create", review) | {"objectRef": {"resource": "selfsubjectaccessreviews"}},
        line("patch", responseStatus={"code": 409}),
        line(user={"username": "bed:kubectl"}),
        line("delete", f"{SERVICES}/a-canary"),
        line("create", f"{SERVICES}?fieldManager=serinus"),
    )
    assert audit.writes() == [
        Write(method="PATCH", path=f"{SERVICES}/a"),
        Write(method="DELETE", path=f"{SERVICES}/a-canary"),
        Write(method="POST", path=SERVICES),
    ]
    assert audit.count() == 9


def test_what_is_forgotten_is_not_counted_again(tmp_path: Path) -> None:
    audit = written(tmp_path, line())
    audit.forget()
    with audit.path.open("a") as file:
        file.write(json.dumps(line("delete"), separators=(",", ":")) + "\n")
    assert [write.method for write in audit.writes()] == ["DELETE"]


def status(code: int, message: str = "") -> dict[str, Any]:
    return {"code": code, "message": message}


def test_a_refusal_is_named_and_half_a_line_waits(tmp_path: Path) -> None:
    audit = written(tmp_path, line(responseStatus=status(403, "no")))
    with audit.path.open("a") as file:
        file.write(json.dumps(line(responseStatus=status(403)), separators=(",", ":"))[:-5])
    assert audit.forbidden() == [f"patch {SERVICES}/a: no"]


def test_a_policy_refuses_too_and_an_ending_namespace_does_not(tmp_path: Path) -> None:
    ending = "unable to create new content in namespace shop because it is being terminated"
    denied = "ValidatingAdmissionPolicy 'fence' with binding 'fence' denied request: no"
    audit = written(
        tmp_path,
        line("create", SERVICES, responseStatus=status(403, ending)),
        line(responseStatus=status(422, denied)),
        line(responseStatus=status(422, "Invalid value")),
    )
    assert audit.forbidden() == [f"patch {SERVICES}/a: {denied}"]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    audit = Audit(path=tmp_path / "audit.log", user=USER)
    assert (audit.writes(), audit.forbidden(), audit.count()) == ([], [], 0)
