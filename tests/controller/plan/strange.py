"""Worlds that nobody wants: good ones of which another hand changed fields."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from controller.api import names
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, Kind, Object, name_of, stamp
from controller.plan.observed import Endpoint, Observed, Pool
from tests.controller.plan.applied import CANARY, FIELDS, objects_of, put
from tests.controller.plan.good import GOOD
from tests.controller.plan.worlds import (
    LONG,
    NAME,
    NOW,
    PREFIX,
    V2,
)

FIXED = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "generation", "apiVersion", "kind"}
)
"""What the API server always sets, and lets nobody set otherwise."""

texts = st.sampled_from(
    [
        "", " ", "0", "1", "100", "101", "-1", "9" * 5000, "1e999", "NaN", "true", "True", "always",
        "{}", "[]", "null", '{"at":"x"}', '{"at":"2099-01-01T00:00:00Z"}', "[" * 3000, "\u0663",
        "promote:" + V2, "retry:" + V2, "abort", "pause", "continue", "5/10m, 25", "X-Account",
        "X-Other", "^.*$", "^(?:mia)$", "auto, in-place", "affinity, recreate", "50%", "3", NAME,
        stamp(NOW), "\x00", "\ud800", "a" * 300,
    ]
)  # fmt: skip
label_values = st.sampled_from(["", "enabled", "managed", NAME, "other", "2", "99", "canary", "x"])
numbers = st.sampled_from([0, 1, 2, 3, 4, 5, 100, 2**31 - 1])
annotation_keys = st.sampled_from(
    [
        *names.USER_KEYS, names.STATUS, names.RELEASE, names.CHANGED, names.LAST_APPLIED,
        names.INGRESS_CLASS, "serinus.dev/unknown", f"{PREFIX}/canary", f"{PREFIX}/canary-weight",
        f"{PREFIX}/canary-by-header", f"{PREFIX}/canary-by-header-value",
        f"{PREFIX}/canary-by-header-pattern", f"{PREFIX}/canary-by-cookie", f"{PREFIX}/affinity",
        f"{PREFIX}/use-regex",
    ]
)  # fmt: skip
label_keys = st.sampled_from(
    [names.CANARY, names.HELD, names.RESUME, names.SERVICE, names.MANAGED_BY, names.REVISION, "app"]
)


def paths_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something could be changed."""
    entries: Any = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, inner in entries:
        if key not in FIXED or at not in {(), ("metadata",)}:
            if at or key != "metadata":
                yield (*at, key)
            yield from paths_of(inner, (*at, key))


def set_at(value: Any, path: tuple[Any, ...], new: Any, *, remove: bool) -> Any:
    """Return a copy with one place changed or gone."""
    result = deepcopy(value)
    place = result
    for key in path[:-1]:
        place = place[key]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = new
    return result


def _of_the_same_type(draw: st.DrawFn, old: Any, *, in_a_list: bool) -> Any:
    """What an API server would have let through in the place of a value."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return draw(numbers)
    if isinstance(old, str):
        return draw(texts)
    if isinstance(old, list):
        return draw(st.sampled_from([None, [], old * 2]))
    return {} if in_a_list else draw(st.sampled_from([None, {}]))


def _changed_field(draw: st.DrawFn, obj: Object) -> Object:
    path = draw(st.sampled_from(list(paths_of(obj))))
    old: Any = obj
    for key in path:
        old = old[key]
    new = _of_the_same_type(draw, old, in_a_list=isinstance(path[-1], int))
    result: Object = set_at(obj, path, new, remove=draw(st.booleans()))
    return result


def _with_key(draw: st.DrawFn, obj: Object) -> Object:
    """Another label or annotation than any of ours would write."""
    field, keys, values = draw(
        st.sampled_from(
            [("annotations", annotation_keys, texts), ("labels", label_keys, label_values)]
        )
    )
    meta = obj.get("metadata") or {}
    kept = {**(meta.get(field) or {}), draw(keys): draw(values)}
    return {**obj, "metadata": {**meta, field: kept}}


def _changed_object(draw: st.DrawFn, world: Observed) -> Observed:
    kind: Kind = draw(st.sampled_from([DEPLOYMENT, SERVICE, INGRESS]))
    objects = objects_of(world, kind)
    if not objects:
        return world
    obj = draw(st.sampled_from(objects))
    change = draw(st.sampled_from([_changed_field, _with_key, _with_key]))
    return put(world, kind, change(draw, obj))


def _without_object(draw: st.DrawFn, world: Observed) -> Observed:
    field = draw(st.sampled_from([*FIELDS.values(), "replica_sets", "autoscalers"]))
    objects = getattr(world, field)
    if not objects:
        return world
    gone = draw(st.sampled_from(objects))
    fields: dict[str, Any] = {field: tuple(one for one in objects if one is not gone)}
    world = replace(world, **fields)
    if field == FIELDS[SERVICE] and name_of(gone) == world.name:
        world = replace(world, service=None, service_missing_seconds=draw(numbers))
    return world


def _other_pods(draw: st.DrawFn, world: Observed) -> Observed:
    field = draw(st.sampled_from(["stable", "canary"]))
    old: Pool = getattr(world, field)
    endpoints = tuple(
        replace(
            endpoint,
            ready=draw(st.booleans()),
            age_seconds=draw(st.sampled_from([0.0, 3.0, LONG])),
        )
        for endpoint in old.endpoints
    )
    history = draw(st.sampled_from([(), ((0.0, 0),), ((12.0, 0), (LONG, 2)), ((LONG, 0),)]))
    strangers = draw(st.sampled_from([(), (Endpoint(pod=""),), (Endpoint(pod="x-1"),)]))
    fields: dict[str, Any] = {field: Pool(endpoints=endpoints + strangers, history=history)}
    return replace(world, **fields)


def _other_sets(draw: st.DrawFn, world: Observed) -> Observed:
    sets = tuple(
        replace(entry, pods=draw(st.integers(0, 4)), ready=draw(st.integers(0, 4)))
        for entry in world.replica_sets
    )
    return replace(world, replica_sets=sets)


def _other_knowledge(draw: st.DrawFn, world: Observed) -> Observed:
    changes: list[dict[str, Any]] = [
        {"hold": None},
        {"hold": "pause"},
        {"seen": {}},
        {"refusal": "no"},
        {"stable": Pool(), "canary": Pool(), "seen": {}},
        {"deployments": tuple(one for one in world.deployments if name_of(one) != CANARY)},
    ]
    return replace(world, **draw(st.sampled_from(changes)))


@st.composite
def strange_worlds(draw: st.DrawFn) -> Observed:
    """Draw a good world and up to three changes of another hand's."""
    world = GOOD[draw(st.sampled_from(sorted(GOOD)))]
    for _ in range(draw(st.integers(0, 3))):
        change = draw(
            st.sampled_from(
                [
                    _changed_object,
                    _changed_object,
                    _changed_object,
                    _without_object,
                    _other_pods,
                    _other_sets,
                    _other_knowledge,
                ]
            )
        )
        world = change(draw, world)
    return world
