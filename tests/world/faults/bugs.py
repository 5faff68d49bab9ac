"""The seeded bugs: each is one mistake that somebody could make, as a change of one function."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from controller.api import pattern
from controller.api.objects import DEPLOYMENT, INGRESS, SERVICE, name_of, template_of
from controller.api.status import Status
from controller.cluster.reflector import Reflector, Store
from controller.cluster.workqueue import WorkQueue
from controller.plan import (
    actions,
    checks,
    draft,
    leave,
    pods,
    promote,
    ramp,
    refusals,
    release,
    rollback,
    routes,
    stable,
    start,
    tell,
    workload,
    writes,
)
from controller.plan.observed import Pool
from controller.plan.traffic.exposure import CLOSED, Exposure
from controller.plan.traffic.nginx import Nginx
from controller.reconciler import Reconciler
from controller.tracker import Tracker

Patch = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One mistake.

    Attributes:
        plant: makes it, for this process.
        workloads: stories in which it is looked for, the likeliest first; "" for the usual ones.
        rows: of faults in which it is looked for, where the stories alone do not show it.
        stride: every so many-th plan of them.
        only: the one fault that can show it.
    """

    name: str
    plant: Patch
    workloads: tuple[str, ...] = ()
    rows: str = ""
    stride: int = 1
    only: str = ""


def swap(original: Any, mistaken: Any) -> None:
    """Put a mistake wherever a function of the controller is known by name."""
    for name, module in list(sys.modules.items()):
        if name.startswith("controller"):
            for key, value in list(vars(module).items()):
                if value is original:
                    setattr(module, key, mistaken)


def wrapped(original: Any, change: Callable[..., Any]) -> Patch:
    """Return what puts `change(original, ...)` in a function's place."""
    return lambda: swap(original, lambda *a, **k: change(original, *a, **k))


def method(owner: type, name: str, mistaken: Any) -> Patch:
    """Return what puts a mistake in a method's place."""
    return lambda: setattr(owner, name, mistaken)


def _release_property(name: str, value: Callable[[Any], Any]) -> Patch:
    return lambda: setattr(release.Release, name, property(value))


def _in(module: Any, name: str, mistaken: Any) -> Patch:
    return lambda: setattr(module, name, mistaken)


def _no_story(message: str) -> Any:
    return draft.Story(reason="Mistaken", message=message)


# Waits.


def _left_by_the_server(self: Any, _uid: str, _text: str, at: Any, seconds: float) -> float:
    past = (self.now - at).total_seconds() if at is not None else 0.0
    return float(seconds + 1.0 - max(0.0, past))


def _left_absolute(self: Any, _uid: str, _text: str, at: Any, seconds: float) -> float:
    past = abs((self.now - at).total_seconds()) if at is not None else 0.0
    return float(seconds + 1.0 - past)


def _ages(original: Any) -> Any:
    def pool(self: Any, key: Any, slices: Any) -> Pool:
        found: Pool = original(self, key, slices)
        old = tuple(replace(one, age_seconds=1e6) for one in found.endpoints)
        return replace(found, endpoints=old)

    return pool


def _stable_at_once(original: Any) -> Any:
    return lambda self, revision, _seconds=0.0: original(self, revision, 0.0)


# Plans.


def _let_go_at_once(now: Any, plan: Any) -> Any:
    return promote._let_go(now, plan, "at once")


def _unchecked_let_go(_now: Any, plan: Any, message: str) -> Any:
    plan.release_stable("let it roll", frozenset())
    plan.tested = "uid"
    return draft.Story(reason="Promoting", message=message)


def _replace_at_once(now: Any, plan: Any) -> Any:
    if plan.record is not None and plan.record.revision != now.template_revision:
        plan.record = draft.new_record(now)
    routes.close(now, plan)
    pods.replace_template(now, plan, start.first_need(now))
    return _no_story("replaced")


def _clean_at_once(now: Any, plan: Any) -> None:
    found = now.found
    ours = [(INGRESS, one) for one in found.our_ingresses]
    ours += [(SERVICE, found.canary_service)] if found.canary_service else []
    ours += [(DEPLOYMENT, found.canary)] if found.canary else []
    plan.add(*(writes.deleted(kind, obj, "at once") for kind, obj in ours))


def _size_down(now: Any, plan: Any, target: Exposure, *, at_least: int = 0) -> int:
    needed = max(at_least, target.pods_needed(now.full))
    if plan.record is not None and needed != (now.canary or {}).get("spec", {}).get("replicas"):
        draft.canary_spec(now, plan, {"replicas": needed}, "scaled the canary")
    return needed


def _open_at_once(original: Any, self: Any, *args: Any) -> Any:
    made = original(self, *args)
    made["metadata"]["annotations"][self.key("canary-weight")] = "10"
    return made


def _copied(original: Any, self: Any, main: Any, *args: Any) -> Any:
    made = original(self, main, *args)
    kept = (main["metadata"].get("annotations") or {}).items()
    made["metadata"]["annotations"] |= {key: value for key, value in kept if "/" in key}
    made["metadata"]["annotations"]["nginx.ingress.kubernetes.io/ssl-redirect"] = "true"
    return made


def _without_cookie(original: Any, self: Any, exposure: Exposure) -> Any:
    keys = original(self, exposure)
    del keys[self.key("canary-by-cookie")]
    return keys


def _with_root(original: Any, intent: Any, weight: int) -> Exposure:
    made: Exposure = original(intent, weight)
    return replace(made, accounts=made.accounts | {"root"}) if made.header else made


def _more(original: Any, *args: Any) -> Any:
    asked = original(*args)
    return replace(asked, weight=min(100, asked.weight + 1)) if asked.weight else asked


def _stable_labels(original: Any, stable: Any, *args: Any) -> Any:
    found = original(stable, *args)
    return {**found, **template_of(stable)["metadata"]["labels"]} if found else found


def _other_template(original: Any, *args: Any) -> Any:
    made = original(*args)
    return {**made, "spec": {**made["spec"], "terminationGracePeriodSeconds": 1}}


def _scales_stable(original: Any, now: Any, plan: Any) -> None:
    original(now, plan)
    changed = [
        replace(
            one, operations=(*one.operations, {"op": "add", "path": "/spec/replicas", "value": 2})
        )
        if isinstance(one, writes.Edit) and one.kind.name == "Deployment"
        else one
        for one in plan.writes
    ]
    plan.writes[:] = changed


def _labels_template(original: Any, now: Any, plan: Any) -> None:
    original(now, plan)
    label = {"op": "add", "path": "/spec/template/metadata/labels/ours", "value": "x"}
    plan.writes[:] = [
        replace(one, operations=(*one.operations, label))
        if isinstance(one, writes.Edit) and one.kind.name == "Deployment"
        else one
        for one in plan.writes
    ]


def _ownerless(original: Any, *args: Any) -> Any:
    made = original(*args)
    return {key: value for key, value in made.items() if key != "ownerReferences"}


def _no_uid(original: Any, kind: Any, obj: Any, why: str, **more: Any) -> Any:
    return replace(original(kind, obj, why, **more), uid="")


def _unread_delete(original: Any, kind: Any, obj: Any, why: str, **more: Any) -> Any:
    return replace(original(kind, obj, why, **more), confirm=frozenset())


def _unread_raise(original: Any, *args: Any) -> Any:
    made = original(*args)
    return replace(made, confirm=frozenset()) if made is not None else None


def _uid_raise(kind: Any, obj: Any, patch: Any, why: str, **more: Any) -> Any:
    return writes.lowered(kind, obj, patch, why, **more)


def _versioned_lowering(kind: Any, obj: Any, patch: Any, why: str, **more: Any) -> Any:
    return writes.raised(kind, obj, patch, why, **more)


def _restless(_self: Status, _other: Status, _now: Any) -> float:
    return 0.0


def _never_relists(original: Any) -> Any:
    async def follow(self: Any) -> Any:
        error = await original(self)
        self._must_list = not self.synced.is_set()
        return error

    return follow


def _gives_up(original: Any, self: Any, key: Any, made: Any) -> None:
    if made.errors:
        self._queue.forget(key)
    else:
        original(self, key, made)


def _keep_nothing(_now: Any, _plan: Any) -> None:
    return


def _closes_in_the_roll(original: Any, now: Any, plan: Any) -> Any:
    routes.walk_back(now, plan, CLOSED)
    return original(now, plan)


def _only_vanished(original: Any) -> Any:
    def replaced(self: Any, listing: Any) -> None:
        known = tuple(self.all())
        have = {name_of(obj) for obj in listing.items}
        kept = tuple(obj for obj in known if name_of(obj) not in have)
        original(self, type(listing)(items=(*listing.items, *kept), version=listing.version))

    return replaced


def _unrejected(original: Any, now: Any, plan: Any, why: str, **more: Any) -> None:
    original(now, plan, why, **{**more, "reject": False})


def _knows_stable_at_once() -> None:
    found = release.Release.stable_ready
    release.Release.stable_ready = _stable_at_once(found)  # type: ignore[method-assign]
    swap(stable.unknown_seconds, lambda *_: 0.0)


_COMPOSED = pattern.composed
BUGS: tuple[Bug, ...] = (
    Bug(name="skips the drain", plant=_release_property("drained_after", lambda _: 0.0)),
    Bug(name="skips the propagation wait", plant=_release_property("propagation", lambda _: 0.0)),
    Bug(
        name="forgets its own clock beside the server's",
        plant=method(release.Release, "left", _left_by_the_server),
        workloads=("abort-canary", "promote"),
        rows="E",
        only="date",
    ),
    Bug(
        name="takes a stamp to come for one long past",
        plant=method(release.Release, "left", _left_absolute),
        workloads=("abort-canary", "promote"),
        rows="E",
        only="date",
    ),
    Bug(name="raises before pods are ready", plant=wrapped(checks.pods_hold, lambda *_: None)),
    Bug(
        name="takes every pod for long known",
        plant=lambda: setattr(Tracker, "pool", _ages(Tracker.pool)),
    ),
    Bug(name="raises on a cached read", plant=wrapped(routes._raise, _unread_raise)),
    Bug(name="raises without a version", plant=_in(routes, "raised", _uid_raise)),
    Bug(name="lowers with a version", plant=_in(routes, "lowered", _versioned_lowering)),
    Bug(name="deletes without uid", plant=wrapped(writes.deleted, _no_uid)),
    Bug(name="deletes what it has not read", plant=wrapped(writes.deleted, _unread_delete)),
    Bug(
        name="leaves the pattern open at its end",
        plant=lambda: setattr(pattern, "composed", lambda *a: _COMPOSED(*a)[:-1]),
    ),
    Bug(
        name="escapes no account",
        plant=_in(pattern, "_escaped", str),
        workloads=("accounts",),
    ),
    Bug(name="adds an account", plant=wrapped(start.rules_of, _with_root)),
    Bug(name="is one percent beyond the plan", plant=wrapped(ramp.asked_of, _more)),
    Bug(
        name="needs one pod whatever it carries",
        plant=method(Exposure, "pods_needed", lambda _self, _full: 1),
    ),
    Bug(
        name="lowers in the middle of the roll",
        plant=lambda: promote.PLANNERS.update(  # type: ignore[attr-defined]  # a dict
            {
                release.Roll.ROLLING: lambda *a: _closes_in_the_roll(promote._roll, *a),
            }
        ),
    ),
    Bug(name="forgets that it aborted", plant=wrapped(actions.end, _unrejected)),
    Bug(
        name="lets any template go",
        plant=_in(promote, "_let_go", _unchecked_let_go),
        workloads=("promote",),
        rows="F",
        only="deed",
    ),
    Bug(
        name="rolls stable under its traffic",
        plant=_in(promote, "_to_the_canary", _let_go_at_once),
        workloads=("promote",),
    ),
    Bug(
        name="walks back to pods that no proxy knows",
        plant=_knows_stable_at_once,
    ),
    Bug(
        name="creates the route open",
        plant=lambda: setattr(Nginx, "ingress", _bound(_open_at_once, Nginx.ingress)),
    ),
    Bug(
        name="copies annotations of the main",
        plant=lambda: setattr(Nginx, "ingress", _bound(_copied, Nginx.ingress)),
    ),
    Bug(
        name="forgets the closing name",
        plant=lambda: setattr(Nginx, "keys_for", _bound(_without_cookie, Nginx.keys_for)),
    ),
    Bug(
        name="scales down at once",
        plant=wrapped(pods.size, lambda _, *a, **k: _size_down(*a, **k)),
        workloads=("lowered",),
    ),
    Bug(
        name="deletes everything at once",
        plant=wrapped(routes.clean, lambda _, *a: _clean_at_once(*a)),
    ),
    Bug(
        name="replaces the template under traffic",
        plant=_in(rollback, "_replace", _replace_at_once),
        workloads=("newer",),
    ),
    Bug(name="keeps stable's labels", plant=wrapped(workload.canary_pod_labels, _stable_labels)),
    Bug(name="changes the template", plant=wrapped(workload.canary_template, _other_template)),
    Bug(name="scales stable", plant=wrapped(tell.edit_stable, _scales_stable)),
    Bug(name="labels stable's pods", plant=wrapped(tell.edit_stable, _labels_template)),
    Bug(
        name="owns nothing",
        plant=wrapped(workload.our_metadata, _ownerless),
        workloads=("deleted",),
    ),
    Bug(
        name="leaves its label behind",
        plant=_in(leave, "_let_go", lambda *_: None),
        workloads=("leave-canary",),
    ),
    Bug(name="tells the same again and again", plant=method(Status, "is_due", _restless)),
    Bug(
        name="never wakes by itself",
        plant=method(WorkQueue, "add_after", lambda *_: None),
    ),
    Bug(
        name="gives up after an error",
        plant=lambda: setattr(Reconciler, "_conclude", _bound(_gives_up, Reconciler._conclude)),
        workloads=("promote", "abort-canary"),
        rows="B",
        stride=3,
    ),
    Bug(
        name="never reads everything again",
        plant=lambda: setattr(Reflector, "_follow", _never_relists(Reflector._follow)),
        workloads=("promote", "ramp", "abort-canary"),
        rows="C",
    ),
    Bug(
        name="does not see what vanished",
        plant=lambda: setattr(Store, "replace", _only_vanished(Store.replace)),
        workloads=("main-ingress", "deleted"),
        rows="C",
        only="gone-event",
    ),
    Bug(
        name="ignores a short canary",
        plant=wrapped(start.short_canary, lambda *_: None),
        workloads=("flapping",),
    ),
    Bug(
        name="does not remember the step",
        plant=wrapped(draft.keep, lambda _, *a: _keep_nothing(*a)),
        workloads=("ramp", "promote"),
    ),
    Bug(
        name="forgets sessions that stick",
        plant=wrapped(refusals.has_affinity, lambda *_: False),
        workloads=("affinity",),
    ),
    Bug(name="tells nobody anything", plant=wrapped(tell.tell, lambda *_: None)),
)
"""Looked for in this order."""


def _bound(change: Callable[..., Any], original: Any) -> Any:
    return lambda self, *a, **k: change(original, self, *a, **k)
