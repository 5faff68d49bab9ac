"""Every string we write on an object."""

from typing import Final

PREFIX: Final = "serinus.dev/"

FIELD_MANAGER: Final = "serinus"
"""Sent with every write; the hold policy lets this manager un-pause (safety.md section 2)."""

# Labels.
CANARY: Final = PREFIX + "canary"
"""On a Service: `enabled` enrols it (the user's), `managed` marks one of ours."""
ENABLED: Final = "enabled"
MANAGED: Final = "managed"
HELD: Final = PREFIX + "held"
"""On the stable Deployment: the name of the Service that holds it."""
RESUME: Final = PREFIX + "resume"
"""On the stable Deployment: the generation at which `rollout resume` asked for a promotion."""
SERVICE: Final = PREFIX + "service"
"""On every object of ours and on canary pods: the name of the enrolled Service."""
TRACK: Final = PREFIX + "track"
"""On canary pods."""
TRACK_CANARY: Final = "canary"
REVISION: Final = PREFIX + "revision"
"""On canary pods: the revision of the template they were made from."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"

# Annotations of ours.
STATUS: Final = PREFIX + "status"
"""On the Service: what we tell, and what must survive a release (safety.md section 3)."""
RELEASE: Final = PREFIX + "release"
"""On the canary Deployment: the record of the running release."""
CHANGED: Final = PREFIX + "changed"
"""On a canary Ingress: when its routing was last changed, and the digest of what was written."""
SHRINK: Final = PREFIX + "shrink"
"""On a canary Ingress: the number of the removal of canary pods that is announced there."""

# Annotations of the user, by their short names (contract.md section 2).
WEIGHT: Final = PREFIX + "weight"
STEPS: Final = PREFIX + "steps"
HEADER: Final = PREFIX + "header"
HEADER_VALUES: Final = PREFIX + "header-values"
HEADER_SUFFIXES: Final = PREFIX + "header-suffixes"
COOKIE: Final = PREFIX + "cookie"
QUERY: Final = PREFIX + "query"
REPLICAS: Final = PREFIX + "replicas"
PROMOTION: Final = PREFIX + "promotion"
CHECKS: Final = PREFIX + "checks"
READY_DEADLINE: Final = PREFIX + "ready-deadline"
DEPLOYMENT: Final = PREFIX + "deployment"
INGRESSES: Final = PREFIX + "ingresses"
ACCEPT: Final = PREFIX + "accept"
ACTION: Final = PREFIX + "action"

USER_KEYS: Final = (
    WEIGHT,
    STEPS,
    HEADER,
    HEADER_VALUES,
    HEADER_SUFFIXES,
    COOKIE,
    QUERY,
    REPLICAS,
    PROMOTION,
    CHECKS,
    READY_DEADLINE,
    DEPLOYMENT,
    INGRESSES,
    ACCEPT,
    ACTION,
)

# Conditions on the Service (contract.md section 5).
READY: Final = PREFIX + "Ready"
PROGRESSING: Final = PREFIX + "Progressing"
PROMOTED: Final = PREFIX + "Promoted"
DEGRADED: Final = PREFIX + "Degraded"

# Keys of others that we read or must set aside.
RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
POD_TEMPLATE_HASH: Final = "pod-template-hash"
DEPLOYMENT_REVISION: Final = "deployment.kubernetes.io/revision"
INGRESS_CLASS: Final = "kubernetes.io/ingress.class"
SERVICE_NAME: Final = "kubernetes.io/service-name"
"""On an EndpointSlice: the name of its Service."""

NAME_LIMIT: Final = 63
"""Services and label values end here; Deployments and Ingresses are kept as short, so that their
names may stand in labels (Kubernetes reference: Object Names and IDs)."""
