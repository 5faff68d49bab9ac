"""The admission policies on a real API server: what they refuse, what they let through.

`make e2e ARGS=e2e/controlplane/test_policies.py`; elsewhere all of it is skipped.
Here the controller's account may do everything, as far as roles go: whatever is refused to it is
refused by the fence.
"""

import itertools
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from controller.api import names, objects
from controller.api.objects import Kind, Object
from controller.plan.record import Record
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx
from controller.plan.workload import (
    canary_deployment,
    canary_service,
    disruption_budget,
    our_metadata,
)
from e2e.bed import manifests
from e2e.bed.children import MissingProgramError, program
from e2e.bed.controllerprocess import ROOT
from e2e.bed.kubectl import Kubectl
from e2e.bed.polling import wait_until
from e2e.controlplane.build import built
from e2e.controlplane.credentials import Credentials
from e2e.controlplane.servers import Servers

if os.environ.get("SERINUS_BED") != "controlplane":
    # All at once: a line for each of them would hide what else was skipped.
    pytest.skip(
        "policies are asked of a real API server: make e2e ARGS=e2e/controlplane",
        allow_module_level=True,
    )

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SHOP = "shop"
CONTROLLER = "system:serviceaccount:serinus-system:serinus"
OVERLAY = ROOT / "manifests" / "overlays" / "cluster"
MERGE = "application/merge-patch+json"
PREFIX = "nginx.ingress.kubernetes.io"
PATIENCE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: Mapping[str, Any]

    @property
    def message(self) -> str:
        """Answer the message of a refusal; empty where there was none."""
        return str(self.body.get("message", "")) if self.status >= 400 else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """Somebody who asks the API server, by name."""

    client: httpx.AsyncClient
    name: str

    async def create(self, kind: Kind, obj: Object) -> Answer:
        """Create an object in the shop."""
        return await self._ask("POST", kind.path(SHOP), {**obj, "kind": kind.name})

    async def patch(
        self, kind: Kind, name: str, change: Object, part: str = "", **query: str
    ) -> Answer:
        """Send a merge patch."""
        return await self._ask("PATCH", kind.path(SHOP, name, part), change, **query)

    async def delete(self, kind: Kind, name: str) -> Answer:
        """Delete an object."""
        return await self._ask("DELETE", kind.path(SHOP, name))

    async def get(self, kind: Kind, name: str) -> Object:
        """Read an object."""
        return (await self._ask("GET", kind.path(SHOP, name))).body

    async def _ask(self, method: str, path: str, body: object = None, **query: str) -> Answer:
        content_type = MERGE if method == "PATCH" else "application/json"
        answer = await self.client.request(
            method,
            path,
            params={"fieldManager": self.name, **query} if body else None,
            headers={"Impersonate-User": self.name, "Content-Type": content_type},
            content=json.dumps(body) if body else None,
        )
        return Answer(status=answer.status_code, body=answer.json())


@dataclass(frozen=True, kw_only=True, slots=True)
class Shop:
    """A namespace with a user's application and a canary of ours beside it."""

    kubectl: Kubectl
    client: httpx.AsyncClient

    def account(self, name: str) -> Account:
        """Answer somebody who asks."""
        return Account(client=self.client, name=name)

    @property
    def controller(self) -> Account:
        """Answer our own account."""
        return self.account(CONTROLLER)

    async def stable(self) -> Object:
        """Read the user's Deployment."""
        return await self.controller.get(objects.DEPLOYMENT, "myapp")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop() -> AsyncIterator[Shop]:
    """Run a control plane with the cluster overlay applied; no node, so no pod ever starts."""
    try:
        program("kubectl")
    except MissingProgramError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="serinus-policies-") as folder:
        credentials = Credentials.write(Path(folder))
        servers = Servers(programs=built(), folder=Path(folder), credentials=credentials)
        try:
            await servers.start()
            async with _client(servers, credentials) as client:
                yield await _furnished(servers, credentials, client)
        finally:
            await servers.stop()


def _client(servers: Servers, credentials: Credentials) -> httpx.AsyncClient:
    token = credentials.tokens["bed:scenario"]
    return httpx.AsyncClient(
        base_url=servers.url,
        verify=servers.trust(),
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30.0,
    )


async def _furnished(servers: Servers, credentials: Credentials, client: httpx.AsyncClient) -> Shop:
    config = credentials.kubeconfig(servers.url, servers.authority, "bed:kubectl")
    kubectl = Kubectl(kubeconfig=config, cache=servers.folder / "kubectl-cache")
    await kubectl("apply", "-k", str(OVERLAY))
    application = [
        *manifests.application(namespace=SHOP, replicas=1),
        _budget("users", {"app": "myapp"}),
        _open_service(),
        *_people(),
    ]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": application})
    await kubectl("apply", "-f", "-", stdin=text)
    shop = Shop(kubectl=kubectl, client=client)
    await _in_force(shop)
    await _release(shop)
    return shop


def _people() -> list[Object]:
    """Return who may do what: our account everything, `editor` Services only, `owner` all three."""
    services = {"apiGroups": [""], "resources": ["services", "services/status"], "verbs": ["*"]}
    others = [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["patch"]},
    ]
    rights = {"editor": [services], "half": [services, others[0]], "owner": [services, *others]}
    found: list[Object] = [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "too-much"},
            "roleRef": _ref("ClusterRole", "cluster-admin"),
            "subjects": [{"kind": "User", "apiGroup": _RBAC, "name": CONTROLLER}],
        }
    ]
    for name, rules in rights.items():
        meta = {"name": name, "namespace": SHOP}
        version = {"apiVersion": f"{_RBAC}/v1", "metadata": meta}
        subjects = [{"kind": "User", "apiGroup": _RBAC, "name": name}]
        found.append({**version, "kind": "Role", "rules": rules})
        found.append(
            {**version, "kind": "RoleBinding", "roleRef": _ref("Role", name), "subjects": subjects}
        )
    return found


_RBAC = "rbac.authorization.k8s.io"


def _ref(kind: str, name: str) -> Object:
    return {"apiGroup": _RBAC, "kind": kind, "name": name}


def _budget(name: str, selector: Mapping[str, str]) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": dict(selector)}},
    }


def _open_service() -> Object:
    """Return a Service that has an address of its own."""
    written = manifests.service("open", namespace=SHOP)
    return {**written, "spec": {**written["spec"], "type": "LoadBalancer"}}


async def _in_force(shop: Shop) -> None:
    """Wait until each policy has refused something: the server learns of new ones by and by."""
    tries = itertools.count()

    async def are_refused() -> bool:
        text = str(next(tries))  # what is let through must differ from what was let through before
        label, annotation = _metadata(labels={"probe": text}), {names.PREFIX + "probe": text}
        asked = [await shop.controller.patch(kind, name, label) for kind, name in PROBED]
        asked.append(await shop.controller.patch(DEPLOYMENT, USERS, {"spec": {}}, "scale"))
        editor = shop.account("editor")
        asked.append(await editor.patch(SERVICE, USERS, _metadata(annotations=annotation)))
        return all(answer.status == 403 for answer in asked)

    await wait_until(are_refused, within=PATIENCE, every=0.2, what="the policies are in force")


async def _release(shop: Shop) -> None:
    """Create what the controller creates, as it does, with its account."""
    for kind, obj in (await _ours(shop)).items():
        answer = await shop.controller.create(kind, obj)
        assert answer.status == 201, answer.message


async def _ours(shop: Shop) -> dict[Kind, Object]:
    stable = await shop.stable()
    service = await shop.controller.get(objects.SERVICE, "myapp")
    main = await shop.controller.get(objects.INGRESS, "myapp")
    labels = {"app": "myapp-canary", names.SERVICE: "myapp", names.TRACK: names.TRACK_CANARY}
    record = Record(revision="a", generation=1, stable="b", replicas=1, since="")
    plane = Nginx(prefix=PREFIX, closing="serinus-" + 32 * "0")
    rules = plane.rules(main, "myapp", "myapp-canary")
    meta = our_metadata(stable, "myapp", "myapp-canary")
    return {
        objects.DEPLOYMENT: canary_deployment(stable, "myapp", labels, 1, record),
        objects.SERVICE: canary_service(stable, service),
        objects.DISRUPTION_BUDGET: disruption_budget(stable, "myapp"),
        objects.INGRESS: plane.ingress(main, rules, meta, datetime(2026, 1, 1, tzinfo=UTC)),
    }


NOW = "2026-01-01T00:00:00Z"
Call = Callable[[Shop], Awaitable[Answer]]


def _patched(kind: Kind, name: str, change: Object, part: str = "") -> Call:
    return lambda shop: shop.controller.patch(kind, name, change, part)


def _created(kind: Kind, change: Callable[[dict[str, Any]], object]) -> Call:
    """Return the create of another canary object, with one thing wrong about it."""

    async def call(shop: Shop) -> Answer:
        obj = json.loads(json.dumps((await _ours(shop))[kind]))
        obj["metadata"]["name"] = "another"
        change(obj)
        return await shop.controller.create(kind, obj)

    return call


def _deleted(kind: Kind, name: str) -> Call:
    return lambda shop: shop.controller.delete(kind, name)


def _metadata(**values: object) -> Object:
    return {"metadata": values}


def _unlabelled(obj: dict[str, Any]) -> None:
    del obj["metadata"]["labels"][names.MANAGED_BY]


def _unowned(obj: dict[str, Any]) -> None:
    del obj["metadata"]["ownerReferences"]


OUR_LABELS = {names.MANAGED_BY: names.FIELD_MANAGER, names.SERVICE: "myapp"}
NEW_IMAGE = {"spec": {"template": {"metadata": {"labels": {"x": "y"}}}}}
USERS, OURS = "myapp", "myapp-canary"
DEPLOYMENT, SERVICE, INGRESS, BUDGET = (
    objects.DEPLOYMENT,
    objects.SERVICE,
    objects.INGRESS,
    objects.DISRUPTION_BUDGET,
)
PROBED = ((DEPLOYMENT, USERS), (SERVICE, USERS), (INGRESS, USERS), (BUDGET, "users"))
CANARY = f"{PREFIX}/canary"
TLS = {"spec": {"tls": [{"hosts": ["myapp.example"], "secretName": "stolen"}]}}
DEFAULT = {"spec": {"defaultBackend": {"service": {"name": OURS, "port": {"number": 80}}}}}


def _rules(backend: str) -> Object:
    written = manifests.ingress("myapp", host="new.example", backend=backend)
    return {"spec": {"rules": written["spec"]["rules"]}}


ELSEWHERE = _rules("other")
PORT = {"port": 80, "targetPort": 8080}
DOORS = [f"{CANARY}-by-header", f"{CANARY}-by-header-value", f"{CANARY}-by-header-pattern"]
FOREIGN_CONDITION = {
    "type": "LoadBalancerReady",
    "status": "True",
    "reason": "Here",
    "message": "",
    "lastTransitionTime": NOW,
}
OUR_CONDITION = {**FOREIGN_CONDITION, "type": names.READY}

REFUSED: Mapping[str, Call] = {
    "a template": _patched(DEPLOYMENT, USERS, NEW_IMAGE),
    "a template, with our labels in the same request": _patched(
        DEPLOYMENT, USERS, {**NEW_IMAGE, **_metadata(labels=OUR_LABELS)}
    ),
    "replicas": _patched(DEPLOYMENT, USERS, {"spec": {"replicas": 9}}),
    "a strategy": _patched(
        DEPLOYMENT, USERS, {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 5}}}}
    ),
    "a deadline": _patched(DEPLOYMENT, USERS, {"spec": {"progressDeadlineSeconds": 9}}),
    "a history": _patched(DEPLOYMENT, USERS, {"spec": {"revisionHistoryLimit": 1}}),
    "a scale": _patched(DEPLOYMENT, USERS, {"spec": {"replicas": 9}}, "scale"),
    "a scale of ours": _patched(DEPLOYMENT, OURS, {"spec": {"replicas": 9}}, "scale"),
    "the status of a Deployment": _patched(
        DEPLOYMENT, USERS, {"status": {"replicas": 9}}, "status"
    ),
    "a foreign label of a Deployment": _patched(DEPLOYMENT, USERS, _metadata(labels={"a": "b"})),
    "a label of ours that is not for a Deployment": _patched(
        DEPLOYMENT, USERS, _metadata(labels={names.TRACK: "canary"})
    ),
    "taking over a Deployment": _patched(DEPLOYMENT, USERS, _metadata(labels=OUR_LABELS)),
    "removing a label of a Deployment": _patched(
        DEPLOYMENT, USERS, _metadata(labels={"app": None})
    ),
    "an annotation of a Deployment": _patched(
        DEPLOYMENT, USERS, _metadata(annotations={names.RELEASE: "x"})
    ),
    "a finalizer of a Deployment": _patched(DEPLOYMENT, USERS, _metadata(finalizers=["a.b/c"])),
    "deleting a Deployment": _deleted(DEPLOYMENT, USERS),
    "creating a Deployment that is not ours": _created(DEPLOYMENT, _unlabelled),
    "creating a Deployment that nothing takes along": _created(DEPLOYMENT, _unowned),
    "creating a Deployment that is no canary": _created(
        DEPLOYMENT,
        lambda obj: (
            obj["spec"]["selector"]["matchLabels"].update({names.TRACK: "stable"}),
            obj["spec"]["template"]["metadata"]["labels"].update({names.TRACK: "stable"}),
        ),
    ),
    "giving up a canary": _patched(DEPLOYMENT, OURS, _metadata(labels={names.MANAGED_BY: None})),
    "giving a canary to another Service": _patched(
        DEPLOYMENT, OURS, _metadata(labels={names.SERVICE: "other"})
    ),
    "giving a canary to another owner": _patched(DEPLOYMENT, OURS, _metadata(ownerReferences=None)),
    "a selector of a Service": _patched(SERVICE, USERS, {"spec": {"selector": {"app": "x"}}}),
    "a port of a Service": _patched(SERVICE, USERS, {"spec": {"ports": [{"port": 81}]}}),
    "a label of a Service": _patched(SERVICE, USERS, _metadata(labels={names.CANARY: "enabled"})),
    "a foreign label of a Service": _patched(SERVICE, USERS, _metadata(labels={"a": "b"})),
    "a foreign label of a Service, through its status": _patched(
        SERVICE, USERS, _metadata(labels={"a": "b"}), "status"
    ),
    "a foreign annotation of a Service": _patched(
        SERVICE, USERS, _metadata(annotations={"a": "b"})
    ),
    "a foreign annotation of a Service, through its status": _patched(
        SERVICE, USERS, _metadata(annotations={"a": "b"}), "status"
    ),
    "a foreign condition": _patched(
        SERVICE, USERS, {"status": {"conditions": [FOREIGN_CONDITION]}}, "status"
    ),
    "an address of a Service": _patched(
        SERVICE, "open", {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}, "status"
    ),
    "taking over a Service": _patched(SERVICE, USERS, _metadata(labels=OUR_LABELS)),
    "deleting a Service": _deleted(SERVICE, USERS),
    "creating a Service that is not ours": _created(SERVICE, _unlabelled),
    "creating a Service that selects other pods": _created(
        SERVICE, lambda obj: obj["spec"].update(selector={"app": "myapp"})
    ),
    "creating a Service that is open to the world": _created(
        SERVICE, lambda obj: obj["spec"].update(type="LoadBalancer")
    ),
    "creating a Service with addresses of others": _created(
        SERVICE, lambda obj: obj["spec"].update(externalIPs=["10.0.0.1"])
    ),
    "turning our Service to other pods": _patched(
        SERVICE, OURS, {"spec": {"selector": {"app": "myapp"}}}
    ),
    "opening our Service to the world": _patched(SERVICE, OURS, {"spec": {"type": "NodePort"}}),
    "taking over an Ingress": _patched(INGRESS, USERS, _metadata(labels=OUR_LABELS)),
    "an annotation of an Ingress": _patched(
        INGRESS, USERS, _metadata(annotations={names.CHANGED: "x"})
    ),
    "a rule of an Ingress": _patched(INGRESS, USERS, ELSEWHERE),
    "the status of an Ingress": _patched(
        INGRESS, USERS, {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}, "status"
    ),
    "deleting an Ingress": _deleted(INGRESS, USERS),
    "creating an Ingress that is not ours": _created(INGRESS, _unlabelled),
    "creating an Ingress that is no canary": _created(
        INGRESS, lambda obj: obj["metadata"]["annotations"].pop(CANARY)
    ),
    "creating an Ingress with other annotations": _created(
        INGRESS,
        lambda obj: obj["metadata"]["annotations"].update({f"{PREFIX}/rewrite-target": "/"}),
    ),
    "creating an Ingress with TLS": _created(INGRESS, lambda obj: obj["spec"].update(TLS["spec"])),
    "a canary Ingress that is none": _patched(
        INGRESS, OURS, _metadata(annotations={CANARY: "false"})
    ),
    "a canary Ingress that is none any more": _patched(
        INGRESS, OURS, _metadata(annotations={CANARY: None})
    ),
    "a canary Ingress with TLS": _patched(INGRESS, OURS, TLS),
    "a canary Ingress with a default backend": _patched(INGRESS, OURS, DEFAULT),
    "a canary Ingress to another Service": _patched(INGRESS, OURS, ELSEWHERE),
    "a canary Ingress with another annotation": _patched(
        INGRESS, OURS, _metadata(annotations={f"{PREFIX}/server-snippet": "x"})
    ),
    "a canary Ingress with a total of weights": _patched(
        INGRESS, OURS, _metadata(annotations={f"{PREFIX}/canary-weight-total": "1000"})
    ),
    "a disruption budget": _patched(BUDGET, "users", {"spec": {"maxUnavailable": 9}}),
    "taking over a disruption budget": _patched(BUDGET, "users", _metadata(labels=OUR_LABELS)),
    "our disruption budget": _patched(BUDGET, OURS, {"spec": {"maxUnavailable": 9}}),
    "deleting a disruption budget": _deleted(BUDGET, "users"),
    "creating a disruption budget that is not ours": _created(BUDGET, _unlabelled),
    "creating a disruption budget for other pods": _created(
        BUDGET, lambda obj: obj["spec"].update(selector={"matchLabels": {"app": "myapp"}})
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_the_fence_refuses_to_our_own_account(shop: Shop, what: str) -> None:
    """Whatever its roles are, our account cannot do this."""
    answer = await REFUSED[what](shop)
    assert answer.status == 403, answer.body
    assert "ValidatingAdmissionPolicy 'serinus-fence-" in answer.message


def _routed(exposure: Exposure) -> Object:
    """Return the PATCH by which the controller moves a canary Ingress to an exposure."""
    plane = Nginx(prefix=PREFIX, closing="serinus-" + 32 * "0")
    return _metadata(annotations={**plane.keys_for(exposure), names.CHANGED: "{}"})


OPEN = Exposure(weight=50, header="X-Account", accounts=frozenset({"alice", "bob"}), cookie="beta")
TOLD = {
    **_metadata(annotations={names.STATUS: "{}", names.WEIGHT: None, names.ACTION: None}),
    "status": {"conditions": [OUR_CONDITION]},
}
ALLOWED: Mapping[str, Call] = {
    "taking the hold": _patched(
        DEPLOYMENT, USERS, {**_metadata(labels={names.HELD: "myapp"}), "spec": {"paused": True}}
    ),
    "letting go": _patched(
        DEPLOYMENT,
        USERS,
        {**_metadata(labels={names.HELD: None, names.RESUME: None}), "spec": {"paused": None}},
    ),
    "telling": _patched(SERVICE, USERS, TOLD, "status"),
    "telling nothing any more": _patched(
        SERVICE,
        USERS,
        {**_metadata(annotations={names.STATUS: None}), "status": {"conditions": None}},
        "status",
    ),
    "scaling the canary": _patched(DEPLOYMENT, OURS, {"spec": {"replicas": 2}}),
    "replacing the canary's template": _patched(DEPLOYMENT, OURS, NEW_IMAGE),
    "keeping the record": _patched(DEPLOYMENT, OURS, _metadata(annotations={names.RELEASE: "{}"})),
    "following the ports": _patched(
        SERVICE,
        OURS,
        {"spec": {"ports": [{"port": 80, "targetPort": 8080, "appProtocol": "http"}]}},
    ),
    "raising": _patched(INGRESS, OURS, _routed(OPEN)),
    "closing": _patched(
        INGRESS,
        OURS,
        _metadata(
            annotations={**dict.fromkeys(DOORS), **_routed(CLOSED)["metadata"]["annotations"]}
        ),
    ),
    "deriving the rules again": _patched(INGRESS, OURS, _rules(OURS)),
}


@pytest.mark.parametrize("what", ALLOWED)
async def test_the_fence_lets_our_own_account_do_its_work(shop: Shop, what: str) -> None:
    """What the contract names is let through."""
    answer = await ALLOWED[what](shop)
    assert answer.status == 200, answer.message


async def test_what_others_wrote_on_a_canary_ingress_does_not_lock_us_out(shop: Shop) -> None:
    """A user's annotation on our Ingress is left or removed, and the rest can still be written."""
    users = {f"{PREFIX}/ssl-redirect": "true"}
    assert (
        await shop.account("owner").patch(INGRESS, OURS, _metadata(annotations=users))
    ).status == 200
    for change in (_routed(OPEN), _routed(CLOSED), _metadata(annotations=dict.fromkeys(users))):
        answer = await shop.controller.patch(INGRESS, OURS, change)
        assert answer.status == 200, answer.message


async def test_conditions_of_others_are_kept(shop: Shop) -> None:
    """Ours may be written beside them; without them is refused."""
    owner = shop.account("owner")
    foreign = {"status": {"conditions": [FOREIGN_CONDITION]}}
    assert (await owner.patch(SERVICE, USERS, foreign, "status")).status == 200
    both = {"status": {"conditions": [FOREIGN_CONDITION, OUR_CONDITION]}}
    assert (await shop.controller.patch(SERVICE, USERS, both, "status")).status == 200
    only_ours = {"status": {"conditions": [OUR_CONDITION]}}
    assert (await shop.controller.patch(SERVICE, USERS, only_ours, "status")).status == 403
    assert (
        await owner.patch(SERVICE, USERS, {"status": {"conditions": None}}, "status")
    ).status == 200


async def test_a_dry_run_of_a_template_is_free(shop: Shop) -> None:
    """The hold is proven by one; nothing is stored."""
    answer = await shop.controller.patch(DEPLOYMENT, USERS, NEW_IMAGE, dryRun="All")
    assert answer.status == 200, answer.message
    assert "x" not in objects.template_labels(await shop.stable())


@pytest.mark.parametrize("name", ["editor", "half"])
@pytest.mark.parametrize("part", ["", "status"])
@pytest.mark.parametrize(
    "change",
    [
        _metadata(annotations={names.WEIGHT: "5"}),
        _metadata(annotations={names.ACTION: "promote:a"}),
        _metadata(labels={names.CANARY: "enabled"}),
        _metadata(labels={names.SERVICE: "other"}),
    ],
    ids=["weight", "action", "enrol", "label"],
)
async def test_who_may_not_patch_the_deployment_and_the_ingress_may_not_ask(
    shop: Shop, name: str, part: str, change: Object
) -> None:
    """A Service editor is refused with the message, through services/status too."""
    answer = await shop.account(name).patch(SERVICE, USERS, change, part)
    assert answer.status == 403, answer.body
    missing = "Deployments" if name == "editor" else "Ingresses"
    assert (
        f"serinus.dev keys need permission to patch {missing} in this namespace" in answer.message
    )


async def test_who_may_not_ask_may_not_take_a_request_back_either(shop: Shop) -> None:
    """Removing a key is asking for something, too; whatever else is on a Service is free."""
    owner, editor = shop.account("owner"), shop.account("editor")
    asked = _metadata(annotations={names.WEIGHT: "5"}, labels={names.CANARY: "disabled"})
    assert (await owner.patch(SERVICE, USERS, asked)).status == 200
    for removed in (
        _metadata(annotations={names.WEIGHT: None}),
        _metadata(labels={names.CANARY: None}),
        _metadata(annotations={names.WEIGHT: "6"}),
    ):
        assert (await editor.patch(SERVICE, USERS, removed)).status == 403
    harmless = {**_metadata(annotations={"a": "b"}, labels={"c": "d"}), "spec": {"ports": [PORT]}}
    assert (await editor.patch(SERVICE, USERS, harmless)).status == 200
    undone = _metadata(annotations={names.WEIGHT: None, "a": None}, labels={names.CANARY: None})
    assert (await owner.patch(SERVICE, USERS, undone)).status == 200


async def test_who_may_not_ask_may_not_create_a_service_that_asks(shop: Shop) -> None:
    """An enrolled Service is enrolled from its creation on."""
    asking = manifests.service("asking", namespace=SHOP, labels={names.CANARY: "enabled"})
    plain = manifests.service("plain", namespace=SHOP)
    assert (await shop.account("editor").create(SERVICE, asking)).status == 403
    assert (await shop.account("editor").create(SERVICE, plain)).status == 201
    assert (await shop.account("owner").create(SERVICE, asking)).status == 201


async def test_kubectl_shows_the_refusal_to_whoever_typed_the_command(shop: Shop) -> None:
    """One line says what is missing."""
    result = await shop.kubectl.run(
        *("annotate", "service", "myapp", "-n", SHOP, "serinus.dev/weight=7", "--as=editor")
    )
    assert result.code == 1
    assert "serinus.dev keys need permission to patch Deployments in this namespace" in result.err


async def test_the_hold_is_told_to_whoever_typed_the_command(shop: Shop) -> None:
    """`set image` is held and says so; `rollout resume` asks for a promotion and says so."""
    owner = ("-n", SHOP, "deployment/held")
    held = manifests.deployment("held", namespace=SHOP, replicas=1)
    held["metadata"]["labels"][names.HELD] = "held"
    await shop.kubectl("apply", "-f", "-", stdin=json.dumps(held))

    await wait_until(
        lambda: _counts(shop, "held", replicas=1), within=PATIENCE, every=0.1, what="there is a pod"
    )
    await shop.kubectl("rollout", "pause", *owner)
    await shop.kubectl("set", "image", *owner, "held-container=janakiramm/myapp:v2")
    resumed = await shop.kubectl.run("rollout", "resume", *owner)
    assert "Warning: " in resumed.err
    assert "serinus: asked for a promotion" in resumed.err
    assert "kubectl canary status held" in resumed.err
    answer = await shop.controller.get(DEPLOYMENT, "held")
    assert objects.is_paused(answer)
    assert objects.labels_of(answer)[names.RESUME].isdecimal()


async def _counts(shop: Shop, name: str, **wanted: int) -> bool:
    status = objects.status_of(await shop.controller.get(DEPLOYMENT, name))
    return all(status.get(key) == value for key, value in wanted.items())


async def test_a_template_of_a_deployment_at_rest_is_held_and_it_is_said(shop: Shop) -> None:
    """A Deployment of no pods is at rest without a node."""
    idle = manifests.deployment("idle", namespace=SHOP, replicas=0)
    idle["metadata"]["labels"][names.HELD] = "idle"
    await shop.kubectl("apply", "-f", "-", stdin=json.dumps(idle))
    image = "idle-container=janakiramm/myapp:v2"
    set_image = await shop.kubectl.run("set", "image", "deployment/idle", image, "-n", SHOP)
    assert "serinus: the new template is held" in set_image.err
    assert "kubectl canary status idle" in set_image.err
    assert objects.is_paused(await shop.controller.get(DEPLOYMENT, "idle"))


async def test_no_policy_has_a_warning_of_the_type_check(shop: Shop) -> None:
    """The server has checked every expression against the kinds that it is about."""

    async def policies() -> list[Object]:
        text = await shop.kubectl("get", "validatingadmissionpolicies", "-o", "json")
        found: list[Object] = json.loads(text)["items"]
        return [it for it in found if objects.name_of(it).startswith("serinus-")]

    async def are_checked() -> bool:
        return all(
            objects.status_of(it).get("observedGeneration") == objects.generation_of(it)
            and "typeChecking" in objects.status_of(it)
            for it in await policies()
        )

    await wait_until(are_checked, within=PATIENCE, every=0.5, what="the types are checked")
    checked = {
        objects.name_of(it): objects.status_of(it)["typeChecking"] for it in await policies()
    }
    assert checked == {name: {} for name in checked}
    assert len(checked) == 7


async def test_applied_again_nothing_changes(shop: Shop) -> None:
    """What was applied is what the server keeps."""

    async def versions() -> dict[str, str]:
        found = json.loads(await shop.kubectl("get", "-k", str(OVERLAY), "-o", "json"))["items"]
        kept = [it for it in found if it["kind"] != "Deployment"]  # its status changes by itself
        return {f"{it['kind']} {objects.name_of(it)}": objects.version_of(it) for it in kept}

    before = await versions()
    await shop.kubectl("apply", "-k", str(OVERLAY))
    assert await versions() == before


async def test_the_restricted_namespace_lets_the_controllers_pods_in(shop: Shop) -> None:
    """Pod Security would refuse to create them otherwise."""

    async def are_there() -> bool:
        found = ("get", "pods", "-n", "serinus-system", "-o", "name")
        return len((await shop.kubectl(*found)).splitlines()) == 2

    await wait_until(are_there, within=PATIENCE, every=0.5, what="both pods are created")


async def test_a_tenant_installs_it_in_namespaces_with_one_right_more_than_an_administrator(
    shop: Shop,
) -> None:
    """Nobody grants what they do not hold, and `admin` does not hold `services/status`."""
    overlay, kubectl = ROOT / "manifests" / "overlays" / "namespaces", shop.kubectl
    await kubectl("apply", "-k", str(ROOT / "manifests" / "example"))
    for namespace in ("canary", "serinus-system"):
        admin = ("rolebinding", "tenant", "--clusterrole=admin", "--user=tenant")
        await kubectl("create", *admin, "-n", namespace)
    result = await kubectl.run("apply", "-k", str(overlay), "--as=tenant")
    missing = re.findall(r"\{APIGroups:.*\}", result.err)
    assert missing == ['{APIGroups:[""], Resources:["services/status"], Verbs:["patch"]}']
    more = ("role", "more", "--verb=patch", "--resource=services/status", "-n", "canary")
    await kubectl("create", *more)
    given = ("rolebinding", "more", "--role=more", "--user=tenant", "-n", "canary")
    await kubectl("create", *given)
    await kubectl("apply", "-k", str(overlay), "--as=tenant")


async def test_our_account_deletes_what_it_created(shop: Shop) -> None:
    """The last test of the module: the canary is gone after it."""
    for kind in (INGRESS, SERVICE, BUDGET, DEPLOYMENT):
        answer = await shop.controller.delete(kind, OURS)
        assert answer.status == 200, answer.message
