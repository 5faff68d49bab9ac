"""Follows one kind, keeps its store, and tells which objects may have changed."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import structlog

from controller.api import objects
from controller.api.errors import ClusterError, GoneError, ThrottledError
from controller.api.objects import Kind, Object
from controller.cluster import failures
from controller.cluster.client import Listing, Trim, WatchEvent
from controller.cluster.clock import Clock, LoopClock
from controller.cluster.trim import trim as trim_metadata

Key = tuple[str, str]
"""Namespace and name."""
OnChange = Callable[[Object | None, Object | None], None]
"""Told the object before and after; None where there was none, or is none."""
Index = Callable[[Object], Iterable[str]]

BACKOFF_SECONDS = 0.8
BACKOFF_LIMIT_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""A stream that lived so long ends a series of failures; a shorter one does not."""
WATCH_SECONDS = (240, 300)
RELIST_SECONDS = 600.0
"""However well the watch goes, everything is read again this often."""
RELIST_FAILURES = 5
"""After so many failures in a row the watch is not resumed: something in it may be the cause."""
SILENCE_SECONDS = WATCH_SECONDS[1] + 15 + 2 * BACKOFF_LIMIT_SECONDS
"""No contact for so long means that the watch is dead, not that nothing happens."""

log = structlog.get_logger(__name__)


class Source(Protocol):
    """What a reflector asks of the client."""

    async def list(
        self, kind: Kind, namespace: str | None, *, labels: str = "", trim: Trim | None = None
    ) -> Listing:
        """Read everything."""

    def watch(
        self, kind: Kind, namespace: str | None, *, version: str, labels: str = "", seconds: int
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens after this version."""


class Store:
    """The last known state of the objects of one kind, and of our own writes among them.

    Every change is told to `on_change`, synchronously, when the store already shows it.

    Attributes:
        version: everything up to this resourceVersion was delivered to us; "" before the first
            list.
    """

    def __init__(
        self,
        *,
        on_change: OnChange,
        trim: Trim = trim_metadata,
        labels: str = "",
        indexes: Mapping[str, Index] | None = None,
    ) -> None:
        self.version = ""
        self._on_change = on_change
        self._trim = trim
        self._requirements = requirements_of(labels)
        self._functions = dict(indexes or {})
        self._objects: dict[str, dict[str, Object]] = {}
        self._indexed: dict[str, dict[str, set[Key]]] = {name: {} for name in self._functions}
        self._learned: set[Key] = set()
        self._deleted: dict[str, int] = {}
        self._lists = 0

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, namespace: str, name: str) -> Object | None:
        """Return the object, or None."""
        return self._objects.get(namespace, {}).get(name)

    def all(self, namespace: str | None = None) -> Sequence[Object]:
        """Return the objects of a namespace (None: of all) in order of their names."""
        spaces = sorted(self._objects) if namespace is None else [namespace]
        return [obj for space in spaces for _, obj in sorted(self._objects.get(space, {}).items())]

    def find(self, index: str, *values: str) -> tuple[Object, ...]:
        """Return the objects for which this index gave one of these, in order of their names."""
        filed = self._indexed[index]
        found = [filed[value] for value in values if value in filed]
        if not found:
            return ()
        keys = sorted(found[0] if len(found) == 1 else set().union(*found))
        return tuple([self._objects[namespace][name] for namespace, name in keys])

    def learn(self, obj: Object) -> None:
        """Take in the answer to a write of ours, unless the watch has already been there.

        Versions of one kind are delivered in order. So an answer that is not newer than what was
        delivered shows nothing new, and may even be of an object that is deleted by now.
        """
        key = key_of(obj)
        version, held = objects.version_of(obj), key and self.get(*key)
        if key is None or not _is_newer(version, self.version):
            return
        if objects.uid_of(obj) in self._deleted:
            return
        if held is not None and not _is_newer(version, objects.version_of(held)):
            return
        self._learned.add(key)
        obj = self.trimmed(obj)
        self._set(key, obj if self._admits(obj) else None)

    def unlearn(self, obj: Object) -> None:
        """Forget an object that we have deleted; older news of this uid does not bring it back."""
        key, uid = key_of(obj), objects.uid_of(obj)
        if key is None:
            return
        if uid:
            self._deleted[uid] = self._lists
        held = self.get(*key)
        if held is not None and objects.uid_of(held) == uid:
            self._set(key, None)

    def trimmed(self, obj: Object) -> Object:
        """Make an object smaller; one so odd that the trim stumbles over it is kept as it is."""
        try:
            return self._trim(obj)
        except Exception:  # one odd object must not stop its kind (libraries.md section 3, 7)
            log.exception("object was not trimmed", object=str(key_of(obj)))
            return obj

    def begin_list(self) -> None:
        """Note that a list begins: what is learned from now on may be newer than its answer."""
        self._lists += 1
        self._learned.clear()

    def replace(self, listing: Listing) -> None:
        """Make the store what the list says; then tell every difference, the vanished too."""
        found = {key: obj for obj in listing.items if (key := self._admitted(obj)) is not None}
        for key in self._learned:
            held = self.get(*key)
            if held is not None and _is_newer(objects.version_of(held), listing.version):
                found[key] = held
        known = {
            (namespace, name): obj
            for namespace, space in self._objects.items()
            for name, obj in space.items()
        }
        changes = [
            (key, found.get(key))
            for key in {**known, **found}
            if _identity(known.get(key)) != _identity(found.get(key))
        ]
        self.version = listing.version
        # Deleted before the list began: neither this list nor what follows it can show them.
        self._deleted = {uid: at for uid, at in self._deleted.items() if at >= self._lists}
        for key, obj in changes:
            self._keep(key, obj)
        for key, obj in changes:
            self._tell(known.get(key), obj)

    def observe(self, event: WatchEvent) -> None:
        """Take in an event; a stale one, or one about nothing, only moves the version on."""
        obj = event.object
        key = key_of(obj) if event.kind != "BOOKMARK" else None
        if key is not None and not self._is_stale(key, event):
            self._set(key, None if event.kind == "DELETED" else self.trimmed(obj))
        version = objects.version_of(obj) if isinstance(obj.get("metadata"), Mapping) else ""
        if version and _is_newer(version, self.version):
            self.version = version

    def _is_stale(self, key: Key, event: WatchEvent) -> bool:
        version, held = objects.version_of(event.object), self.get(*key)
        if self._is_deleted(event.object):
            if event.kind == "DELETED":
                del self._deleted[objects.uid_of(event.object)]
            return True
        if event.kind == "DELETED":
            return held is None or not _is_newer(version, objects.version_of(held), or_equal=True)
        # Without one of this name, what was delivered is the measure: a repeated event of one that
        # is deleted since would be taken for a new object.
        return not _is_newer(version, objects.version_of(held) if held else self.version)

    def _is_deleted(self, obj: Object) -> bool:
        """Tell whether we deleted it; one that still waits for somebody's finalizer is there."""
        return objects.uid_of(obj) in self._deleted and not objects.is_terminating(obj)

    def _admitted(self, obj: Object) -> Key | None:
        key = key_of(obj)
        return None if key is None or self._is_deleted(obj) else key

    def _admits(self, obj: Object) -> bool:
        labels = objects.labels_of(obj)
        return all(is_met(labels) for is_met in self._requirements)

    def _set(self, key: Key, obj: Object | None) -> None:
        held = self.get(*key)
        if held is None and obj is None:
            return
        self._keep(key, obj)
        self._tell(held, obj)

    def _keep(self, key: Key, obj: Object | None) -> None:
        namespace, name = key
        held = self.get(namespace, name)
        if held is not None:
            self._unindex(key, held)
        if obj is None:
            del self._objects[namespace][name]
            if not self._objects[namespace]:
                del self._objects[namespace]
            return
        self._objects.setdefault(namespace, {})[name] = obj
        for index, value in self._values(obj):
            self._indexed[index].setdefault(value, set()).add(key)

    def _unindex(self, key: Key, obj: Object) -> None:
        for index, value in self._values(obj):
            keys = self._indexed[index].get(value, set())
            keys.discard(key)
            if not keys:
                self._indexed[index].pop(value, None)

    def _values(self, obj: Object) -> list[tuple[str, str]]:
        found = []
        for name, function in self._functions.items():
            try:
                found += [(name, value) for value in function(obj)]
            except Exception:  # as above: it is stored, but not found by this index
                log.exception("object was not indexed", index=name, object=str(key_of(obj)))
        return found

    def _tell(self, old: Object | None, new: Object | None) -> None:
        try:
            self._on_change(old, new)
        except Exception:  # a bug of the listener, told at once; the rest must still be handed out
            log.exception("change was not handed on", object=str(key_of(new or old or {})))


class Reflector:
    """Keeps a store equal to what the API server has, for as long as `run` runs.

    libraries.md section 3 is the checklist; its numbers stand beside what meets them.

    Attributes:
        kind: what is followed.
        store: what is known of it.
        synced: set once the first list is in the store (6).
    """

    def __init__(  # noqa: PLR0913  # what to follow, and then knobs that have a default each
        self,
        client: Source,
        kind: Kind,
        namespace: str | None = None,
        labels: str = "",
        *,
        on_change: OnChange,
        trim: Trim = trim_metadata,
        indexes: Mapping[str, Index] | None = None,
        clock: Clock | None = None,
        uniform: Callable[[float, float], float] = random.uniform,
        relisted: Callable[[str], None] = lambda _kind: None,
    ) -> None:
        """Prepare; nothing is sent before `run`.

        Args:
            client: the API server.
            kind: what to follow.
            namespace: None means all.
            labels: a selector of `key`, `!key`, `key=value` and `key!=value`, comma-separated.
            on_change: told of every change, see `Store`.
            trim: makes an object smaller before it is stored.
            indexes: by name, what an object is to be found by.
            clock: what waits are measured with.
            uniform: the source of jitter, as `random.uniform`.
            relisted: told the kind whenever everything was read.
        """
        self.kind = kind
        self.store = Store(on_change=on_change, trim=trim, labels=labels, indexes=indexes)
        self.synced = asyncio.Event()
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._clock = clock or LoopClock()
        self._uniform = uniform
        self._relisted = relisted
        self._must_list = True
        self._listed = 0.0
        self._failures = 0
        self._watching_since: float | None = None
        self._contact = self._clock.monotonic()

    async def run(self) -> None:
        """List and watch, again and again, until cancelled (3: a wait after every end)."""
        while True:
            self._watching_since = None
            error = await self._follow()
            if self._watched_seconds() >= HEALTHY_SECONDS:
                self._failures = 0
            await self._clock.sleep(self._pause(error))
            self._failures += 1

    def age_seconds(self) -> float:
        """Return for how long nothing was heard: no list, no event, no bookmark, no end."""
        return self._clock.monotonic() - self._contact

    def problem(self) -> str | None:
        """Say why the store is not to be trusted, for `/readyz`; None: it is (6)."""
        if not self.synced.is_set():
            return f"{self.kind}: not listed yet"
        if self.age_seconds() > SILENCE_SECONDS:
            return f"{self.kind}: nothing heard for {self.age_seconds():.0f} s"
        return None

    async def _follow(self) -> Exception | None:
        """Follow until something ends it; return what, None for an ordinary end."""
        try:
            if self._must_list or self._until_relist() <= 0:
                await self._list()
            await self._watch()
        except GoneError as error:  # (4)
            self._must_list = True
            return error
        except ClusterError as error:
            self._must_list |= self._failures % RELIST_FAILURES == RELIST_FAILURES - 1
            return error
        except Exception as error:  # a bug: told once here, and the process lives
            log.exception("watch was ended by a bug", kind=str(self.kind))
            self._must_list = True
            return error
        return None

    async def _list(self) -> None:
        self.store.begin_list()
        listing = await self._client.list(
            self.kind, self._namespace, labels=self._labels, trim=self.store.trimmed
        )
        self._heard()
        self._must_list = False
        self._listed = self._clock.monotonic()
        self.store.replace(listing)
        self.synced.set()
        self._relisted(str(self.kind))
        log.debug("kind was listed", kind=str(self.kind), objects=len(self.store))

    async def _watch(self) -> None:
        """Watch from where we are (5), for 240 to 300 s or until a full list is due (2)."""
        self._watching_since = self._clock.monotonic()
        seconds = max(1, int(min(self._uniform(*WATCH_SECONDS), self._until_relist())))
        stream = self._client.watch(
            self.kind,
            self._namespace,
            version=self.store.version,
            labels=self._labels,
            seconds=seconds,
        )
        async with contextlib.aclosing(stream) as events:
            async for event in events:
                if event.kind == "ERROR":
                    raise failures.error_of_event(f"watch {self.kind}", event.object)
                self._heard()
                self.store.observe(event)
        self._heard()

    def _watched_seconds(self) -> float:
        """Return how long the stream that has just ended was open; 0 if it came to none."""
        since = self._watching_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def _until_relist(self) -> float:
        return self._listed + RELIST_SECONDS - self._clock.monotonic()

    def _heard(self) -> None:
        self._contact = self._clock.monotonic()

    def _pause(self, error: Exception | None) -> float:
        """Return how long to wait: half to all of a time that doubles, or what the server asks."""
        full = min(BACKOFF_SECONDS * 2 ** min(self._failures, 10), BACKOFF_LIMIT_SECONDS)
        seconds = self._uniform(full / 2, full)
        if isinstance(error, ThrottledError):
            seconds = max(seconds, error.retry_after)
        # The third failure of a series is no passing one: say so, once.
        write = log.warning if error and self._failures == 2 else log.debug
        write("watch was interrupted", kind=str(self.kind), error=str(error), wait=seconds)
        return seconds


def key_of(obj: Object) -> Key | None:
    """Return namespace and name; None for what is no object with a name."""
    meta = obj.get("metadata")
    if not isinstance(meta, Mapping) or not meta.get("name"):
        return None
    return str(meta.get("namespace") or ""), str(meta["name"])


def requirements_of(labels: str) -> Sequence[Callable[[Mapping[str, str]], bool]]:
    """Read a label selector, so that the answers to our writes are held to it too.

    Raises:
        ValueError: it has a set-based part (`in`, `notin`), which no kind here is followed by.
    """
    parts = [part.strip() for part in labels.split(",") if part.strip()]
    return [_requirement(part) for part in parts]


def _requirement(part: str) -> Callable[[Mapping[str, str]], bool]:
    if any(sign in part for sign in "() "):
        raise ValueError(f"label selector {part!r}: use key, !key, key=value or key!=value")
    if part.startswith("!"):
        return lambda labels: part[1:] not in labels
    if "!=" in part:
        key, _, value = part.partition("!=")
        return lambda labels: labels.get(key) != value
    if "=" in part:
        key, _, value = part.replace("==", "=").partition("=")
        return lambda labels: labels.get(key) == value
    return lambda labels: part in labels


def _is_newer(version: str, than: str, *, or_equal: bool = False) -> bool:
    """Compare two resourceVersions as numbers (Kubernetes reference: Resource versions).

    One that is no number is taken for newer, so that it is never lost.
    """
    if version.isdecimal() and than.isdecimal():
        return int(version) + or_equal > int(than)
    return True


def _identity(obj: Object | None) -> tuple[str, str] | None:
    """Return what is equal for two states of an object that are the same state."""
    return None if obj is None else (objects.uid_of(obj), objects.version_of(obj))
