"""Scenarios told as a user sees them: kubectl in, answers through the proxy out."""

OWN_CLUSTER = (
    "test_restart",
    "test_pause_hold",
    "test_lost_policy",
    "test_two_instances",
    "test_checks",
    "test_metrics_server",
)
"""Modules whose scenarios have a cluster of their own; all others share one."""
APART = ("test_routing", "test_plan", "test_gitops")
"""Modules whose scenarios share the cluster, but not the time with those of other modules.

Some count requests exactly: what happens to many others would disturb them. Some run a program
every second: that would disturb the others.
"""
