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
COUNTING = ("test_routing", "test_plan")
"""Modules that count requests exactly: what happens to many others would disturb them."""
