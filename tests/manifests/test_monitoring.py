"""Alerts ask for series that exist, with labels that they have."""

import re

import prometheus_client
import pytest

from controller.cluster.metrics import Metrics, QueueSeries
from tests.manifests.rendering import MANIFESTS, only, read

MONITORING = MANIFESTS / "components" / "monitoring"
RULES = only(read(MONITORING / "rules.yaml"), "PrometheusRule")["spec"]["groups"][0]["rules"]
SERIES = re.compile(r"\b(?:serinus|workqueue)_\w+")


def all_series() -> dict[str, set[str]]:
    """Return every series and its labels, as a metrics server finds them once all have a value."""
    metrics = Metrics()
    QueueSeries(metrics.registry, "serinus")
    collectors = list(metrics.registry._collector_to_names)
    found: dict[str, set[str]] = {}
    for collector in collectors:
        if isinstance(collector, prometheus_client.metrics.MetricWrapperBase):
            for name in metrics.registry._collector_to_names[collector]:
                found[name] = set(collector._labelnames)
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_there_is(rule: dict[str, str]) -> None:
    known = all_series()
    asked = SERIES.findall(rule["expr"])
    assert asked
    assert set(asked) <= known.keys()
    labels = set().union(*(known[name] for name in asked))
    grouped = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
    filtered = set(re.findall(r"[{,]\s*(\w+)[=!]", rule["expr"]))
    told = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
    assert grouped | filtered <= labels
    assert told <= grouped


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means(rule: dict[str, dict[str, str]]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert {"summary", "description"} <= rule["annotations"].keys()


def test_the_metrics_server_is_sent_to_the_port_of_the_service() -> None:
    (port,) = only(read(MANIFESTS / "base" / "metrics.yaml"), "Service", "serinus-metrics")["spec"][
        "ports"
    ]
    (endpoint,) = only(read(MONITORING / "servicemonitor.yaml"), "ServiceMonitor")["spec"][
        "endpoints"
    ]
    assert endpoint["port"] == port["name"]
    (rule,) = only(read(MONITORING / "network.yaml"), "NetworkPolicy", "serinus-metrics")["spec"][
        "ingress"
    ]
    assert [it["port"] for it in rule["ports"]] == [port["port"]]
