"""The differences that stay, each with its reason; a run reads this table and accepts no other."""

import re
from dataclasses import dataclass

from e2e.differential.comparison import Difference
from e2e.differential.operation import Operation


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One row; each pattern has to match the whole of its text.

    Attributes:
        because: The reason, in words that stand alone.
        request: Of `Operation.label`.
        path: Of `Difference.path`.
        ours: Of the emulator's value.
        theirs: Of the real server's value.
    """

    because: str
    request: str = ".*"
    path: str
    ours: str = ".*"
    theirs: str = ".*"

    def explains(self, operation: Operation, difference: Difference) -> bool:
        """Say whether the row speaks of this difference."""
        texts = (operation.label, *difference)
        patterns = (self.request, self.path, self.ours, self.theirs)
        return all(
            re.fullmatch(pattern, text, re.DOTALL)
            for pattern, text in zip(patterns, texts, strict=True)
        )


EXPLANATIONS: tuple[Explanation, ...] = (
    Explanation(
        because="A dry run that would create answers with the version it was sent: nobody reads a "
        "version of what is not stored.",
        request=".*dryRun=All.*",
        path="metadata.resourceVersion",
        ours="absent",
    ),
    Explanation(
        because="The server tells a list that is sent empty from one that is not sent, and keeps "
        "neither: its owner may change though the list does not.",
        request=".*endpointslices.*",
        path=r"(items\[\]\.)?metadata\.(managedFields\..*|resourceVersion)|ports|endpoints",
        ours=r".*(absent|null|f:endpoints|f:ports|\{\}|as before).*",
    ),
    Explanation(
        because="Whoever applies first on an object that ends leaves its end to the managers of "
        "before, as fields of theirs.",
        request="PATCH apply .*",
        path=r"metadata\.managedFields\.before-first-apply.*\.f:deletion.*",
        ours="absent",
        theirs=r"\{\}",
    ),
    Explanation(
        because="An empty list that somebody applied and that was not kept is his all the same: "
        "who applies an empty one too is in conflict with him.",
        request="PATCH apply services/status.*",
        path="code",
        ours="200",
        theirs="409 Conflict",
    ),
    Explanation(
        because="Who owns the replicas after a scale: the server carries owners over between the "
        "two forms, and may lose one on the way, even where nothing was scaled.",
        request="GET (deployments|replicasets)",
        path=r"metadata\.(managedFields\..*|resourceVersion)",
    ),
    Explanation(
        because="A delete that is told a version, of an object that has begun to end, changes the "
        "object first and is then told that the version is an old one.",
        request="DELETE [a-z]+",
        path="code",
        ours="200",
        theirs="409 Conflict",
    ),
    Explanation(
        because="A dry delete that would be the end of an object that has begun to end answers "
        "with an empty one.",
        request="DELETE .*dryRun=All",
        path=r"((metadata|spec|status|data|type)\b|addressType|endpoints|ports).*",
        theirs='absent|null|""|0',
    ),
    Explanation(
        because="A Service with one port twice gets one node port for both from the server, which "
        "names that too; the emulator refuses before it gives any.",
        request="(POST|PUT|PATCH [a-z]+) services .*",
        path=r"details\.causes",
        ours=r'.*"FieldValueDuplicate spec\.ports\[\d+\]".*',
        theirs=r'.*"FieldValueDuplicate spec\.ports\[\d+\]\.nodePort".*',
    ),
)
