"""One request as it is drawn: the same for both servers but for what each of them gave out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

VERSION = "<version>"
"""Stands in a body or a query for the resourceVersion the server last gave the object."""
OLDER_VERSION = "<older version>"
UID = "<uid>"
CONTINUE = "<continue>"
"""Stands for the token of the server's last page."""

PATCHES = {
    "apply": "application/apply-patch+yaml",
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """A request for one object or a collection.

    Attributes:
        root: Such as `/apis/apps/v1`.
        name: Empty for a collection.
        part: A subresource, or empty.
        sort: Of a PATCH: a key of `PATCHES`.
        body: May hold the placeholders above.
        onto_seen: Whether the body is merged over the object as the server last showed it.
    """

    method: str
    root: str
    plural: str
    namespace: str
    name: str = ""
    part: str = ""
    sort: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    onto_seen: bool = False

    @property
    def path(self) -> str:
        """Answer the path of the URL."""
        words = f"{self.root}/namespaces/{self.namespace}/{self.plural}", self.name, self.part
        return "/".join(word for word in words if word)

    @property
    def content_type(self) -> str:
        """Answer the media type of the body."""
        return PATCHES.get(self.sort, "application/json")

    @property
    def label(self) -> str:
        """Say in a few words what is done; rows of the table of differences are found by it."""
        place = f"{self.plural}/{self.part}" if self.part else self.plural
        words = [self.method, self.sort, place, "" if self.name else "all"]
        asked = dict(self.query)
        if self.method == "DELETE" and isinstance(self.body, dict) and "dryRun" in self.body:
            asked["dryRun"] = self.body["dryRun"][0]
        words += [f"{key}={value}" for key, value in asked.items() if key != "fieldManager"]
        return " ".join(word for word in words if word)
