"""What happened to each kind, kept for a while, for watches that join or come back."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from e2e.bed.apiserver.errors import expired
from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.selectors import Selector
from e2e.bed.apiserver.trees import JsonObject

WatchEvent: TypeAlias = tuple[str, JsonObject]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One applied write; `new` is None after a removal, `old` before a creation."""

    version: int
    kind: Kind
    new: JsonObject | None
    old: JsonObject | None

    @property
    def type(self) -> str:
        """ADDED, MODIFIED or DELETED, as a watch without selectors sees it."""
        if self.old is None:
            return "ADDED"
        return "DELETED" if self.new is None else "MODIFIED"

    @property
    def current(self) -> JsonObject:
        """The object after the change, or its last state when it is gone."""
        obj = self.old if self.new is None else self.new
        assert obj is not None
        return obj


def _sleep_on() -> None:
    """Wake nobody."""


@dataclass(eq=False, kw_only=True, slots=True)
class Watch:
    """One open watch. Events gather in `events`; `wake` is called after each that fits.

    Attributes:
        wake: Called synchronously from the write; must not write itself.
        overrun: More events waited than `limit`; the reader must relist.
    """

    kind: Kind
    namespace: str | None
    selector: Selector
    wake: Callable[[], None] = _sleep_on
    events: deque[WatchEvent] = field(default_factory=deque)
    limit: int = 100_000
    overrun: bool = False

    def take(self) -> list[WatchEvent]:
        """Return and forget the events that wait."""
        taken = list(self.events)
        self.events.clear()
        return taken

    def offer(self, change: Change) -> None:
        """Queue a change if this watch asked for it."""
        event = self.seen(change)
        if event is None:
            return
        if len(self.events) >= self.limit:
            self.overrun = True
        else:
            self.events.append(event)
        self.wake()

    def seen(self, change: Change) -> WatchEvent | None:
        """Return a change as this watch sees it: objects may move in or out of its selector."""
        if self.namespace and change.current["metadata"].get("namespace") != self.namespace:
            return None
        if self.selector.takes_everything:
            return change.type, change.current
        now = change.new is not None and self.selector.matches(change.new)
        was = self._matched_before(change, now=now)
        if change.new is None:
            return ("DELETED", change.current) if was else None
        if now:
            return ("MODIFIED" if was else "ADDED"), change.new
        return ("DELETED", _left_behind(change)) if was else None

    def _matched_before(self, change: Change, *, now: bool) -> bool:
        """Say whether the old state matched; labels that stay need no second look."""
        old, new = change.old, change.new
        if old is None:
            return False
        stays = new is not None and old["metadata"].get("labels") == new["metadata"].get("labels")
        return now if stays and not self.selector.fields else self.selector.matches(old)


def _left_behind(change: Change) -> JsonObject:
    """Return the last state that still matched, at the version at which it went."""
    assert change.old is not None
    meta = {**change.old["metadata"], "resourceVersion": str(change.version)}
    return {**change.old, "metadata": meta}


class History:
    """The last changes of one kind.

    Args:
        limit: How many changes are kept.
        start: The version before the first change.
    """

    def __init__(self, limit: int, start: int) -> None:
        self._changes: deque[Change] = deque()
        self._limit = limit
        self._compacted = start
        self._watches: dict[Watch, None] = {}  # in the order of their opening, in every run

    def record(self, change: Change) -> None:
        """Keep a change and offer it to every open watch."""
        self._changes.append(change)
        if len(self._changes) > self._limit:
            self._compacted = self._changes.popleft().version
        for watch in tuple(self._watches):
            watch.offer(change)

    def follow(self, watch: Watch, since: int | None) -> None:
        """Open a watch.

        Args:
            watch: The watch; it gets what it missed first.
            since: The version it has seen; None for the present.

        Raises:
            ApiError: 410, that version is older than what is kept.
        """
        if since is not None:
            self.check(since)
            for change in self._changes:
                if change.version > since and (event := watch.seen(change)) is not None:
                    watch.events.append(event)
        self._watches[watch] = None

    def leave(self, watch: Watch) -> None:
        """Close a watch."""
        self._watches.pop(watch, None)

    def check(self, since: int) -> None:
        """Refuse a version older than what is kept.

        Raises:
            ApiError: 410.
        """
        if since < self._compacted:
            raise expired(f"too old resource version: {since} ({self._compacted})")

    def compact(self, version: int) -> None:
        """Forget everything up to now; watches that come back get 410."""
        self._changes.clear()
        self._compacted = version

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)
