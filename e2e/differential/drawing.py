"""Draws operations: each verb that we or kubectl use, on objects that may be there or not."""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from e2e.differential.drafts import KINDS, Drawn, Json, either, labels, metadata
from e2e.differential.operation import CONTINUE, OLDER_VERSION, UID, VERSION, Operation

NAMESPACE = "differential"
NAMES = ("n1", "n2", "n3", "n4")
"""Few, so that most operations meet an object."""
LABEL_SELECTORS = (
    "app=x",
    "app==y,tier",
    "app!=x",
    "app in (x,y)",
    "tier notin (x)",
    "!app",
    "x.io/side",
    "app=",
    "app in x",
    "=x",
)
FIELD_SELECTORS = (
    "metadata.name=n1",
    "metadata.name!=n2",
    "metadata.namespace=differential",
    "metadata.name=n1,metadata.namespace=other",
    "spec.nothing=1",
    "metadata.name",
)


class Drawing:
    """A source of operations; the same seed gives the same ones."""

    def __init__(self, seed: int) -> None:
        """Begin with a seed."""
        self._rng = random.Random(seed)
        self._waiting: list[Operation] = []

    def next(self) -> Operation:
        """Draw one."""
        if self._waiting:
            return self._waiting.pop()
        rng = self._rng
        drawn = rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
        makes = [*_VERBS, *(_STATUS_VERBS if drawn.status else {})]
        makes += [_scale] if drawn.scales else []
        weights = {**_VERBS, **_STATUS_VERBS, _scale: 4}
        make = rng.choices(makes, [weights[one] for one in makes])[0]
        found = make(rng, drawn)
        if found.part == "scale":  # its answer does not show what became of the object
            looked_at = replace(found, method="GET", part="", sort="", query={}, body=None)
            self._waiting.append(looked_at)
        return found


def _operation(rng: random.Random, drawn: Drawn, method: str, **more: Any) -> Operation:
    more.setdefault("name", rng.choice(NAMES))
    namespace = either(rng, [NAMESPACE] * 9, ["nowhere"])
    return Operation(
        method=method, root=drawn.root, plural=drawn.plural, namespace=namespace, **more
    )


def _whole(rng: random.Random, drawn: Drawn, name: str) -> Json:
    typed = {"apiVersion": drawn.api_version, "kind": drawn.kind}
    if rng.random() < 0.02:
        typed[rng.choice(list(typed))] = rng.choice(["", "Other", "v9"])
    return {**typed, "metadata": metadata(rng, name), **drawn.fields(rng)}


def _query(rng: random.Random, *, manager: bool = True) -> dict[str, str]:
    query = {}
    if manager and rng.random() < 0.6:
        query["fieldManager"] = rng.choice(["m1", "m2"])
    if rng.random() < 0.08:
        query["dryRun"] = either(rng, ["All"] * 5, ["Some"])
    return query


def _version(rng: random.Random, body: Json, *, often: bool = False) -> Json:
    """Put a version or a uid into an object's metadata, or none."""
    free = ["", "", "", VERSION, OLDER_VERSION, "0", "1"]
    meta = dict(body.get("metadata") or {})
    version = rng.choice([VERSION, VERSION, VERSION, OLDER_VERSION, ""] if often else free)
    if version:
        meta["resourceVersion"] = version
    if rng.random() < 0.08:
        meta["uid"] = rng.choice([UID, UID, "other"])
    return {**body, "metadata": meta}


def _create(rng: random.Random, drawn: Drawn) -> Operation:
    body = _whole(rng, drawn, rng.choice(NAMES))
    if rng.random() < 0.03:
        body["metadata"]["resourceVersion"] = "7"
    if rng.random() < 0.03:
        body["metadata"]["namespace"] = rng.choice([NAMESPACE, "other"])
    return _operation(rng, drawn, "POST", name="", query=_query(rng), body=body)


def _put(rng: random.Random, drawn: Drawn) -> Operation:
    name = rng.choice(NAMES)
    body = _version(rng, _whole(rng, drawn, either(rng, [name], ["n1", ""])), often=True)
    return _operation(rng, drawn, "PUT", name=name, query=_query(rng), body=body)


def _put_seen(rng: random.Random, drawn: Drawn) -> Operation:
    """Write back what was read, with a change or without."""
    typed = {"apiVersion": drawn.api_version, "kind": drawn.kind}
    body = {**typed, **rng.choice([{}, _change(rng, drawn)])}
    return _operation(rng, drawn, "PUT", query=_query(rng), body=body, onto_seen=True)


def _change(rng: random.Random, drawn: Drawn) -> Json:
    """Draw a merge patch."""
    fields = drawn.fields(rng)
    return rng.choice(
        (
            {"metadata": {"annotations": {"k1": rng.choice(["z", "y", None])}}},
            {"metadata": {"labels": labels(rng)}},
            {"metadata": {"labels": {"app": rng.choice(["x", None])}}},
            {"metadata": {"annotations": rng.choice([None, {}])}},
            {"metadata": {"finalizers": rng.choice([None, [], ["x.io/a"]])}},
            {"metadata": {"ownerReferences": [_owner(rng)]}},
            {"metadata": {"creationTimestamp": None, "generation": 9}},
            fields,
            _part_of(rng, fields),
            {"spec": {"unknown": 1}},
            {"status": {"unknown": 1}},
        )
    )


def _owner(rng: random.Random) -> Json:
    return {
        "apiVersion": either(rng, ["v1"], [""]),
        "kind": "ConfigMap",
        "name": "owner",
        "uid": either(rng, ["11111111-1111-4111-8111-111111111111"], [""]),
        **rng.choice([{}, {"controller": True}, {"controller": False}]),
    }


def _part_of(rng: random.Random, fields: Json) -> Json:
    """Keep one field of the spec, perhaps to remove it."""
    spec = fields.get("spec")
    if not spec:
        return fields
    key = rng.choice(list(spec))
    return {"spec": {key: rng.choice([spec[key], spec[key], None])}}


def _merge(rng: random.Random, drawn: Drawn) -> Operation:
    body = _version(rng, _change(rng, drawn))
    return _operation(rng, drawn, "PATCH", sort="merge", query=_query(rng), body=body)


def _json_patch(rng: random.Random, drawn: Drawn) -> Operation:
    steps = (
        {"op": "add", "path": "/metadata/annotations", "value": {"j": "1"}},
        {"op": "add", "path": "/metadata/annotations/j", "value": rng.choice(["1", "<2>", "ä"])},
        {"op": "remove", "path": "/metadata/annotations/k1"},
        {"op": "replace", "path": "/metadata/annotations/k1", "value": "r"},
        {"op": "add", "path": "/metadata/labels", "value": labels(rng)},
        {"op": "remove", "path": "/metadata/labels/app"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["x.io/b"]},
        {"op": "replace", "path": "/spec/replicas", "value": rng.choice([1, 2])},
        {"op": "add", "path": "/spec/paused", "value": rng.choice([True, False])},
        {"op": "remove", "path": "/spec/paused"},
        {"op": "copy", "from": "/metadata/labels", "path": "/metadata/annotations"},
        {"op": "move", "from": "/metadata/labels", "path": "/metadata/annotations"},
        {"op": "remove", "path": "/spec"},
        {"op": "add", "path": "/spec/none/deep", "value": 1},
    )
    tests = (
        {"op": "test", "path": "/metadata/resourceVersion", "value": VERSION},
        {"op": "test", "path": "/metadata/resourceVersion", "value": OLDER_VERSION},
        {"op": "test", "path": "/metadata/uid", "value": UID},
        {"op": "test", "path": "/metadata/annotations/k1", "value": "v"},
        {"op": "test", "path": "/metadata/annotations/j", "value": rng.choice(["1", "<2>", "ä"])},
        {"op": "test", "path": "/spec/paused", "value": True},
        {"op": "test", "path": "/kind", "value": drawn.kind},
        {"op": "test", "path": "/metadata/labels", "value": None},
    )
    body: Any = rng.sample(tests, rng.randint(0, 1)) + rng.sample(steps, rng.randint(1, 2))
    body = either(rng, [body] * 4, [{"op": "add"}, [{"op": "nothing", "path": "/a"}], [{}]])
    return _operation(rng, drawn, "PATCH", sort="json", query=_query(rng), body=body)


def _strategic(rng: random.Random, drawn: Drawn) -> Operation:
    template = {"spec": {"template": {"spec": _strategic_pods(rng)}}}
    special: Mapping[str, Json] = {
        "deployments": template,
        "replicasets": template,
        "services": {"spec": {"ports": _strategic_ports(rng)}},
    }
    change: Json = rng.choice(
        (
            _change(rng, drawn),
            {"metadata": {"finalizers": ["x.io/b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.io/a", "x.io/b"]}},
            {"metadata": {"labels": {"$patch": "replace", "tier": "x"}}},
            {"metadata": {"ownerReferences": [_owner(rng)]}},
            special.get(drawn.plural, {}),
            special.get(drawn.plural, {}),
        )
    )
    body = _version(rng, change)
    return _operation(rng, drawn, "PATCH", sort="strategic", query=_query(rng), body=body)


def _strategic_pods(rng: random.Random) -> Json:
    image = rng.choice(["web:3", "web:4"])
    return rng.choice(
        (
            {"containers": [{"name": "web", "image": image}]},
            {"containers": [{"name": "side", "image": image}, {"name": "web"}]},
            {"containers": [{"name": "side", "$patch": "delete"}]},
            {"containers": [{"$patch": "replace"}, {"name": "web", "image": image}]},
            {
                "$setElementOrder/containers": [{"name": "side"}, {"name": "web"}],
                "containers": [{"name": "side", "image": image}],
            },
            {"containers": [{"name": "web", "env": [{"name": "A", "value": "7"}]}]},
            {"containers": [{"name": "web", "ports": [{"containerPort": 81}]}]},
            {"nodeSelector": {"$patch": "replace", "disk": "x"}},
            {"volumes": [{"name": "e", "$patch": "delete"}]},
            {"$retainKeys": ["containers"], "containers": [{"name": "web", "image": image}]},
            {"containers": [{"image": "no-name"}]},
        )
    )


def _strategic_ports(rng: random.Random) -> list[Json]:
    changes: tuple[list[Json], ...] = (
        [{"port": 81, "$patch": "delete"}],
        [{"port": 80, "targetPort": 9090}],
        [{"port": 83, "name": "d"}],
        [{"$patch": "replace"}, {"port": 84, "name": "e"}],
    )
    return rng.choice(changes)


def _apply(rng: random.Random, drawn: Drawn) -> Operation:
    """Apply on the server's side as kubectl does, with part of an object or all of it."""
    name = rng.choice(NAMES)
    body = _whole(rng, drawn, name)
    if rng.random() < 0.4:
        body = {**{key: body[key] for key in ("apiVersion", "kind")}, "metadata": body["metadata"]}
        body |= rng.choice([{}, _part_of(rng, drawn.fields(rng))])
    if rng.random() < 0.05:
        body = _version(rng, body, often=True)
    query = {"fieldManager": rng.choice(["kubectl", "kubectl", "m1", "m2"])}
    if rng.random() < 0.5:
        query["force"] = rng.choice(["true", "true", "false"])
    if rng.random() < 0.05:
        query["dryRun"] = "All"
    if rng.random() < 0.02:
        del query["fieldManager"]
    return _operation(rng, drawn, "PATCH", name=name, sort="apply", query=query, body=body)


def _put_status(rng: random.Random, drawn: Drawn) -> Operation:
    assert drawn.status
    name = rng.choice(NAMES)
    body = _version(rng, {**_whole(rng, drawn, name), "status": drawn.status(rng)}, often=True)
    return _operation(rng, drawn, "PUT", name=name, part="status", query=_query(rng), body=body)


def _put_seen_status(rng: random.Random, drawn: Drawn) -> Operation:
    assert drawn.status
    typed = {"apiVersion": drawn.api_version, "kind": drawn.kind}
    body = {**typed, "status": drawn.status(rng)}
    query = _query(rng)
    return _operation(rng, drawn, "PUT", part="status", query=query, body=body, onto_seen=True)


def _patch_status(rng: random.Random, drawn: Drawn) -> Operation:
    assert drawn.status
    sort = rng.choice(["merge", "merge", "strategic", "json", "apply"])
    body: Any = {"status": drawn.status(rng)}
    query = _query(rng)
    name = rng.choice(NAMES)
    if sort == "json":
        body = [{"op": "add", "path": "/status", "value": drawn.status(rng)}]
    elif sort == "apply":
        typed = {"apiVersion": drawn.api_version, "kind": drawn.kind}
        body = {**typed, "metadata": {"name": name}, **body}
        query["fieldManager"] = rng.choice(["m1", "m2"])
    else:
        body = _version(rng, {**body, **rng.choice([{}, {}, _change(rng, drawn)])})
    return _operation(
        rng, drawn, "PATCH", name=name, part="status", sort=sort, query=query, body=body
    )


def _scale(rng: random.Random, drawn: Drawn) -> Operation:
    replicas = either(rng, [0, 1, 4], [-1, "x"])
    if rng.random() < 0.3:
        return _operation(rng, drawn, "GET", part="scale")
    if rng.random() < 0.6:
        body: Json = _version(rng, {"spec": {"replicas": replicas}})
        query = _query(rng)
        return _operation(rng, drawn, "PATCH", part="scale", sort="merge", query=query, body=body)
    name = rng.choice(NAMES)
    scale = {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": replicas},
    }
    return _operation(
        rng, drawn, "PUT", name=name, part="scale", query=_query(rng), body=_version(rng, scale)
    )


def _delete(rng: random.Random, drawn: Drawn) -> Operation:
    options: Json = {}
    if rng.random() < 0.4:
        options["preconditions"] = rng.choice(
            (
                {"uid": UID},
                {"uid": "22222222-2222-4222-8222-222222222222"},
                {"resourceVersion": VERSION},
                {"resourceVersion": OLDER_VERSION},
                {"uid": UID, "resourceVersion": VERSION},
            )
        )
    if rng.random() < 0.3:
        options["propagationPolicy"] = either(
            rng, ["Background", "Foreground", "Orphan"], ["Sideways"]
        )
    if rng.random() < 0.08:
        options["dryRun"] = ["All"]
    if rng.random() < 0.08:
        options["gracePeriodSeconds"] = either(rng, [0, 5], [-1])
    query = {"dryRun": "All"} if rng.random() < 0.03 else {}
    return _operation(
        rng, drawn, "DELETE", query=query, body=rng.choice([options, options or None])
    )


def _delete_all(rng: random.Random, drawn: Drawn) -> Operation:
    query = {"labelSelector": rng.choice(LABEL_SELECTORS)}
    return _operation(rng, drawn, "DELETE", name="", query=query)


def _get(rng: random.Random, drawn: Drawn) -> Operation:
    return _operation(rng, drawn, "GET")


def _list(rng: random.Random, drawn: Drawn) -> Operation:
    query: Mapping[str, str] = rng.choice(
        (
            {},
            {"labelSelector": rng.choice(LABEL_SELECTORS)},
            {"fieldSelector": rng.choice(FIELD_SELECTORS)},
            {"limit": rng.choice(["1", "2", "500"])},
            {"limit": "1", "labelSelector": rng.choice(LABEL_SELECTORS)},
            {"limit": "1", "continue": CONTINUE},
            {"limit": "1", "continue": CONTINUE},
            {"continue": CONTINUE},
            {"resourceVersion": "0"},
            {"resourceVersion": either(rng, ["1"], ["x"])},
            {"resourceVersionMatch": "Exact"},
        )
    )
    found = _operation(rng, drawn, "GET", name="", query=query)
    # A page goes on where it began: in another namespace a token says nothing that is told.
    return replace(found, namespace=NAMESPACE) if "continue" in query else found


Make = Callable[[random.Random, Drawn], Operation]
_VERBS: Mapping[Make, int] = {
    _create: 22,
    _put: 8,
    _put_seen: 8,
    _merge: 12,
    _json_patch: 9,
    _strategic: 8,
    _apply: 12,
    _delete: 12,
    _delete_all: 1,
    _get: 3,
    _list: 7,
}
_STATUS_VERBS: Mapping[Make, int] = {_put_status: 3, _put_seen_status: 4, _patch_status: 7}
