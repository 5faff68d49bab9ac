"""Whether stable can have its traffic back: all its pods there, and known to every proxy (P5)."""

from math import ceil

from controller.api.objects import is_paused, name_of, replicas_of
from controller.plan.checks import Hold
from controller.plan.release import Release


def hold_without_record(release: Release) -> Hold | None:
    """Return why those on the canary stay there though the record of their release is gone.

    With the record went the approval, so nobody knows whether stable was let go: it is taken for
    one that was. It waits for no stable that is gone, and keeps nobody on a canary without pods.
    """
    if release.stable is None or not release.observed.canary.ready:
        return None
    left = still_after(release)
    if left is None:
        return Hold(
            reason="WaitingForStable",
            message="the record of the release is gone: everybody stays where he is until all pods "
            f"of Deployment {name_of(release.stable)} are of one revision and ready (kubectl "
            "rollout status, resume or undo)",
        )
    return _until_known(release, left, "the record of the release is gone: ")


def hold_after_approval(release: Release) -> Hold | None:
    """Return why those on the canary stay there for a moment though the release ends unasked.

    Once it was approved stable may have rolled, and turned back since: its pods are new then,
    though nothing is seen of a roll any more. An end that is recorded waits for nobody.
    """
    record = release.record
    if record is None or not record.approval or not release.is_open or release.is_concluded:
        return None
    if not release.observed.canary.ready:
        return None
    return _until_known(release, known_after(release))


def _until_known(release: Release, left: float, because: str = "") -> Hold | None:
    """Return what waits so many seconds for the proxy; None: there is nothing to wait for."""
    if left <= 0 or release.stable is None:
        return None
    return Hold(
        reason="WaitingForStable",
        message=f"{because}everybody stays where he is until the proxy knows the pods of "
        f"Deployment {name_of(release.stable)}",
        left_seconds=left,
    )


def still_after(release: Release) -> float | None:
    """Return the seconds until every proxy knows a stable that is whole; None while it is not.

    A watch of ReplicaSets may lag: the Deployment's own number tells of one that is not seen yet.
    """
    serving = release.serving
    alone = {it.revision for it in release.stable_sets if it.pods or it.wanted} == {serving}
    stays = is_paused(release.stable or {}) or release.template_revision == serving
    if not (alone and stays and release.is_observed) or release.has_rolled_unseen:
        return None
    if lowest_weight(release, release.stable_ready(serving)) > 0:
        return None
    return known_after(release)


def known_after(release: Release) -> float:
    """Return the seconds until every proxy knows the pods that serve, and none that went."""
    young = release.propagation - release.stable_age(release.serving)
    return max(young, unknown_seconds(release, release.serving))


def unknown_seconds(release: Release, revision: str) -> float:
    """Return for how long a proxy may still know a stable pod that has gone, or is about to.

    A roll that turns back takes away pods that were ready while all others are long known.
    """
    others = {entry.revision for entry in release.stable_sets} - {revision}
    if any(release.stable_ready(other) for other in others):
        return release.propagation
    return release.propagation - release.observed.stable.seconds_since_fall


def needed_back(release: Release) -> int:
    """Return how many stable pods carry everything: with an autoscaler R, else what is wanted."""
    wanted = replicas_of(release.stable or {})
    return release.full if release.autoscalers else max(1, wanted)


def lowest_weight(release: Release, ready: int) -> int:
    """Return how far the weight may fall on so many stable pods.

    A quarter over their share is allowed, so that an idle stable sees load and grows.
    Worked example: 4 of 10 pods may carry 50 %, so the weight may fall to 50.
    """
    carried = 125 * ready / needed_back(release)
    return max(0, ceil(100 - carried))
