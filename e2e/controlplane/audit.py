"""Reads what the API server wrote down about one user."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from e2e.bed.served import Write

_METHODS = {
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
"""The verbs that write, as HTTP has them."""
_ANSWERED = "ResponseComplete"
_DENIED = "denied request"
"""How an admission policy refuses."""
_ENDING = "because it is being terminated"


@dataclass(slots=True, kw_only=True)
class Audit:
    """The audit log of one API server, which writes a line before it answers.

    Attributes:
        path: The file.
        user: Whose requests are looked at.
    """

    path: Path
    user: str
    _since: int = field(default=0)

    def forget(self) -> None:
        """Look at later requests only, when asked for writes."""
        self._since = self.path.stat().st_size

    def writes(self) -> list[Write]:
        """Answer what the user wrote since `forget`; no Leases, no reviews, no dry runs."""
        return [
            Write(method=_METHODS[line["verb"]], path=_path(line))
            for line in self._lines(self._since)
            if line["verb"] in _METHODS and line["responseStatus"]["code"] < 300 and _is_kept(line)
        ]

    def forbidden(self) -> list[str]:
        """Answer what the user was not allowed to do, since the beginning.

        By a role or by an admission policy; that a namespace takes nothing new while it ends is
        nobody's right, though the server answers 403 there too.
        """
        return [
            f"{line['verb']} {line['requestURI']}: {_message(line)}"
            for line in self._lines()
            if (line["responseStatus"]["code"] == 403 or _DENIED in _message(line))
            and _ENDING not in _message(line)
        ]

    def count(self) -> int:
        """Count the user's requests since the beginning."""
        return sum(1 for _ in self._lines())

    def _lines(self, since: int = 0) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        named = f'"username":"{self.user}"'.encode()
        with self.path.open("rb") as file:
            file.seek(since)
            for text in file:
                if named in text and text.endswith(b"\n"):
                    line = json.loads(text)
                    if line["stage"] == _ANSWERED:
                        yield line


def _message(line: dict[str, Any]) -> str:
    return str(line["responseStatus"].get("message", ""))


def _path(line: dict[str, Any]) -> str:
    return str(line["requestURI"].partition("?")[0])


def _is_kept(line: dict[str, Any]) -> bool:
    """Say whether a write changed an object of the cluster that is anybody's business."""
    query = parse_qs(line["requestURI"].partition("?")[2])
    resource = (line.get("objectRef") or {}).get("resource", "")
    return "dryRun" not in query and resource != "leases" and not resource.endswith("reviews")
