"""Events of `events.k8s.io` and of the core group: two spellings of one stored object."""

from e2e.bed.apiserver.kinds import Kind
from e2e.bed.apiserver.trees import JsonObject

_NEWER_NAMES = {
    "message": "note",
    "involvedObject": "regarding",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_OLDER_NAMES = {newer: older for older, newer in _NEWER_NAMES.items()}


def stored_form(kind: Kind, obj: JsonObject) -> JsonObject:
    """Return an object as the store keeps it: Events in the words of the core group."""
    if kind.group != "events.k8s.io":
        return obj
    renamed = {_OLDER_NAMES.get(key, key): value for key, value in obj.items()}
    return {**renamed, "apiVersion": "v1"}


def served_form(kind: Kind, obj: JsonObject) -> JsonObject:
    """Return a stored object as this kind's clients see it."""
    if kind.group != "events.k8s.io":
        return obj
    renamed = {_NEWER_NAMES.get(key, key): value for key, value in obj.items()}
    return {**renamed, "apiVersion": kind.api_version}
