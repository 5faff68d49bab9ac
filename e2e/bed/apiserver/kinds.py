"""The table of kinds this server knows."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One served resource.

    Attributes:
        fields: Top-level fields beside apiVersion, kind and metadata; others are dropped.
        status: Whether it has the `/status` subresource.
        scale: Whether it has the `/scale` subresource.
        generation: Whether `metadata.generation` is kept.
        custom: Whether it comes from a CustomResourceDefinition: a status write then writes
            status only, and strategic merge patches are refused.
        unconditional: Whether a PUT without resourceVersion is accepted.
        created_by_put: Whether a PUT may create.
        shelf: The storage it shares with another group's kind; empty for its own.
    """

    group: str
    kind: str
    plural: str
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    fields: tuple[str, ...] = ("spec",)
    status: bool = False
    scale: bool = False
    generation: bool = False
    custom: bool = False
    unconditional: bool = True
    created_by_put: bool = False
    shelf: str = ""

    @property
    def singular(self) -> str:
        """The name in `kubectl get NAME`."""
        return self.kind.lower()

    @cached_property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The plural with its group, as messages name it: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def kind_group(self) -> str:
        """The kind with its group, as validation messages name it: `Deployment.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @cached_property
    def key(self) -> str:
        """What its objects are kept under."""
        return self.shelf or self.resource


_EVENT_FIELDS = (
    "action",
    "count",
    "eventTime",
    "firstTimestamp",
    "involvedObject",
    "lastTimestamp",
    "message",
    "reason",
    "related",
    "reportingComponent",
    "reportingInstance",
    "series",
    "source",
    "type",
)
_ALL = ("all",)

BUILT_IN: tuple[Kind, ...] = (
    Kind(
        group="",
        kind="Namespace",
        plural="namespaces",
        namespaced=False,
        short=("ns",),
        status=True,
    ),
    Kind(
        group="",
        kind="Service",
        plural="services",
        short=("svc",),
        categories=_ALL,
        status=True,
        created_by_put=True,
    ),
    Kind(group="", kind="Endpoints", plural="endpoints", short=("ep",), fields=("subsets",)),
    Kind(
        group="",
        kind="ConfigMap",
        plural="configmaps",
        short=("cm",),
        fields=("data", "binaryData", "immutable"),
    ),
    Kind(
        group="",
        kind="Secret",
        plural="secrets",
        fields=("data", "stringData", "type", "immutable"),
    ),
    Kind(
        group="",
        kind="Pod",
        plural="pods",
        short=("po",),
        categories=_ALL,
        status=True,
        generation=True,
    ),
    Kind(
        group="",
        kind="Node",
        plural="nodes",
        namespaced=False,
        short=("no",),
        status=True,
    ),
    Kind(
        group="",
        kind="ServiceAccount",
        plural="serviceaccounts",
        short=("sa",),
        fields=("secrets", "imagePullSecrets", "automountServiceAccountToken"),
    ),
    Kind(
        group="",
        kind="Event",
        plural="events",
        short=("ev",),
        fields=_EVENT_FIELDS,
        created_by_put=True,
        shelf="events",
    ),
    Kind(
        group="events.k8s.io",
        kind="Event",
        plural="events",
        short=("ev",),
        fields=_EVENT_FIELDS,
        created_by_put=True,
        shelf="events",
    ),
    Kind(
        group="apps",
        kind="Deployment",
        plural="deployments",
        short=("deploy",),
        categories=_ALL,
        status=True,
        scale=True,
        generation=True,
    ),
    Kind(
        group="apps",
        kind="ReplicaSet",
        plural="replicasets",
        short=("rs",),
        categories=_ALL,
        status=True,
        scale=True,
        generation=True,
    ),
    Kind(
        group="apps",
        kind="StatefulSet",
        plural="statefulsets",
        short=("sts",),
        categories=_ALL,
        status=True,
        scale=True,
        generation=True,
    ),
    Kind(
        group="apps",
        kind="DaemonSet",
        plural="daemonsets",
        short=("ds",),
        categories=_ALL,
        status=True,
        generation=True,
    ),
    Kind(
        group="apps",
        kind="ControllerRevision",
        plural="controllerrevisions",
        fields=("data", "revision"),
    ),
    Kind(
        group="autoscaling",
        version="v2",
        kind="HorizontalPodAutoscaler",
        plural="horizontalpodautoscalers",
        short=("hpa",),
        categories=_ALL,
        status=True,
        generation=True,
    ),
    Kind(
        group="policy",
        kind="PodDisruptionBudget",
        plural="poddisruptionbudgets",
        short=("pdb",),
        status=True,
        generation=True,
        unconditional=False,
    ),
    Kind(
        group="networking.k8s.io",
        kind="Ingress",
        plural="ingresses",
        short=("ing",),
        status=True,
        generation=True,
    ),
    Kind(
        group="networking.k8s.io",
        kind="IngressClass",
        plural="ingressclasses",
        namespaced=False,
        generation=True,
    ),
    Kind(
        group="discovery.k8s.io",
        kind="EndpointSlice",
        plural="endpointslices",
        fields=("addressType", "endpoints", "ports"),
        generation=True,
    ),
    Kind(
        group="coordination.k8s.io",
        kind="Lease",
        plural="leases",
        unconditional=False,
        created_by_put=True,
    ),
    Kind(
        group="rbac.authorization.k8s.io",
        kind="Role",
        plural="roles",
        fields=("rules",),
        created_by_put=True,
    ),
    Kind(
        group="rbac.authorization.k8s.io",
        kind="RoleBinding",
        plural="rolebindings",
        fields=("roleRef", "subjects"),
        created_by_put=True,
    ),
    Kind(
        group="rbac.authorization.k8s.io",
        kind="ClusterRole",
        plural="clusterroles",
        namespaced=False,
        fields=("rules", "aggregationRule"),
        created_by_put=True,
    ),
    Kind(
        group="rbac.authorization.k8s.io",
        kind="ClusterRoleBinding",
        plural="clusterrolebindings",
        namespaced=False,
        fields=("roleRef", "subjects"),
        created_by_put=True,
    ),
)


class UnknownKindError(LookupError):
    """No kind has this plural name; a mistake of the caller."""


class KindTable:
    """The kinds of one server; more may be added while it runs."""

    def __init__(self) -> None:
        self._by_path: dict[tuple[str, str, str], Kind] = {}
        self._by_name: dict[str, Kind] = {}
        for kind in BUILT_IN:
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve one more kind; the first kind with a plural owns the short name."""
        self._by_path[kind.group, kind.version, kind.plural] = kind
        self._by_name.setdefault(kind.plural, kind)
        self._by_name[kind.resource] = kind

    def named(self, name: str | Kind) -> Kind:
        """Return the kind called `deployments` or `deployments.apps`.

        Raises:
            UnknownKindError: There is none.
        """
        if isinstance(name, Kind):
            return name
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownKindError(name) from None

    def served_at(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind behind a URL, or None."""
        return self._by_path.get((group, version, plural))

    def all(self) -> tuple[Kind, ...]:
        """Return every kind in the order of the table."""
        return tuple(self._by_path.values())
