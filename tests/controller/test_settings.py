import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from controller import settings
from controller.settings import FLAGS, Settings, UsageError, from_arguments


def test_nothing_said_is_the_defaults() -> None:
    assert from_arguments([], {}) == Settings(
        kubeconfig=None,
        context=None,
        namespaces=(),
        ingress_classes=("nginx",),
        annotation_prefix="nginx.ingress.kubernetes.io",
        dialect="common",
        hold="auto",
        hold_check_seconds=600,
        propagation_seconds=10,
        drain_seconds=30,
        ready_seconds=5,
        max_accounts=50,
        leader_elect=False,
        lease_namespace=None,
        workers=8,
        qps=50,
        http_address="127.0.0.1:8080",
        prometheus_url=None,
        prometheus_token_file=None,
        scrape_seconds=15,
        checks=(),
        log_format="auto",
        log_level="info",
    )


GOOD = [
    ("kubeconfig", "/a:/b", "kubeconfig", "/a:/b"),
    ("context", "prod", "context", "prod"),
    ("namespace", "shop", "namespaces", ("shop",)),
    ("ingress-class", "edge", "ingress_classes", ("edge",)),
    ("annotation-prefix", "edge.example.com", "annotation_prefix", "edge.example.com"),
    ("dialect", "traefik", "dialect", "traefik"),
    ("hold", "pause", "hold", "pause"),
    ("hold-check-interval", "1s", "hold_check_seconds", 1),
    ("hold-check-interval", "10m", "hold_check_seconds", 600),
    ("propagation-wait", "500ms", "propagation_seconds", 0.5),
    ("drain-wait", "1m30s", "drain_seconds", 90),
    ("ready-wait", "0", "ready_seconds", 0),
    ("max-accounts", "500", "max_accounts", 500),
    ("leader-elect", "true", "leader_elect", True),
    ("lease-namespace", "ops", "lease_namespace", "ops"),
    ("workers", "1", "workers", 1),
    ("qps", "12.5", "qps", 12.5),
    ("http-address", ":8080", "http_address", ":8080"),
    ("http-address", "[::1]:0", "http_address", "[::1]:0"),
    (
        "prometheus-url",
        "http://prom:9090/prometheus",
        "prometheus_url",
        "http://prom:9090/prometheus",
    ),
    ("prometheus-url", "https://[::1]", "prometheus_url", "https://[::1]"),
    ("prometheus-token-file", "/run/token", "prometheus_token_file", "/run/token"),
    ("scrape-interval", "1m", "scrape_seconds", 60),
    ("log-format", "json", "log_format", "json"),
    ("log-level", "debug", "log_level", "debug"),
]


@pytest.mark.parametrize(("flag", "text", "field", "value"), GOOD)
def test_flag_sets_its_field(flag: str, text: str, field: str, value: object) -> None:
    assert getattr(from_arguments([f"--{flag}", text], {}), field) == value


@pytest.mark.parametrize(("flag", "text", "field", "value"), GOOD)
def test_variable_means_the_same(flag: str, text: str, field: str, value: object) -> None:
    variable = "SERINUS_" + flag.upper().replace("-", "_")
    assert getattr(from_arguments([], {variable: text}), field) == value


BAD = [
    ("namespace", "Shop", "the name of a namespace"),
    ("namespace", "", "the name of a namespace"),
    ("ingress-class", "a/b", "the name of an IngressClass"),
    ("annotation-prefix", "example.com/", "without a slash"),
    ("dialect", "haproxy", "one of common, ingress-nginx, traefik"),
    ("dialect", "higress", "not supported yet"),
    ("dialect", "tengine", "not supported yet"),
    ("dialect", "ack", "not supported yet"),
    ("dialect", "alb", "not supported yet"),
    ("hold", "webhook", "one of auto, admission, pause"),
    ("hold-check-interval", "999ms", "from 1s to 10m"),
    ("hold-check-interval", "10m1s", "from 1s to 10m"),
    ("hold-check-interval", "5", "a duration such as 10s"),
    ("propagation-wait", "10", "a duration such as 10s"),
    ("propagation-wait", "-1s", "a duration such as 10s"),
    ("drain-wait", "30 s", "a duration such as 10s"),
    ("drain-wait", "", "a duration such as 10s"),
    ("ready-wait", "25h", "at most 24h"),
    ("max-accounts", "501", "an integer from 1 to 500"),
    ("max-accounts", "0", "an integer from 1 to 500"),
    ("leader-elect", "yes", "true or false"),
    ("lease-namespace", "a.b", "the name of a namespace"),
    ("workers", "many", "an integer from 1 to 256"),
    ("workers", "٣", "an integer from 1 to 256"),
    ("qps", "0", "a number from 1 to 10000"),
    ("qps", "nan", "a number from 1 to 10000"),
    ("http-address", "8080", "HOST:PORT"),
    ("http-address", "localhost:http", "HOST:PORT"),
    ("http-address", "::1:8080", "HOST:PORT"),
    ("http-address", "localhost:70000", "HOST:PORT"),
    ("log-format", "xml", "one of text, json"),
    ("log-level", "trace", "one of debug, info, warning, error"),
    ("prometheus-url", "prometheus", "an http or https URL"),
    ("prometheus-url", "ftp://prometheus", "an http or https URL"),
    ("prometheus-url", "http://", "an http or https URL"),
    ("prometheus-url", "http://prometheus:0x1", "an http or https URL"),
    ("prometheus-url", "http://prome theus", "an http or https URL"),
    ("prometheus-url", "http://[", "an http or https URL"),
    ("prometheus-url", "http://prometheus/?match=x", "must not have a query"),
    ("prometheus-url", "http://prometheus/#x", "must not have a query or a fragment"),
    ("prometheus-token-file", "", "not be empty"),
    ("scrape-interval", "500ms", "from 1s to 5m"),
    ("scrape-interval", "6m", "from 1s to 5m"),
    ("scrape-interval", "x", "a duration such as 10s"),
    ("kubeconfig", " ", "not be empty"),
]


@pytest.mark.parametrize(("flag", "text", "allowed"), BAD)
def test_refusal_names_flag_value_and_what_is_allowed(flag: str, text: str, allowed: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_arguments([f"--{flag}={text}"], {})
    assert str(caught.value).startswith(f"--{flag} {text!r}: ")
    assert allowed in str(caught.value)


def test_refusal_does_not_repeat_a_password() -> None:
    message = "--prometheus-url 'http://***@prometheus': must not hold a password"
    with pytest.raises(UsageError, match=re.escape(message)):
        from_arguments(["--prometheus-url=http://shop:s3cr@t@prometheus"], {})


def test_refusal_of_a_variable_names_the_variable() -> None:
    with pytest.raises(UsageError, match=re.escape("SERINUS_HOLD 'x': must be one of auto")):
        from_arguments([], {"SERINUS_HOLD": "x"})


@pytest.mark.parametrize("argv", [["--holt", "pause"], ["--hol", "pause"], ["extra"], ["--hold"]])
def test_unknown_or_unfinished_argument_is_refused(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        from_arguments(argv, {})


def test_flag_wins_over_variable_and_the_last_flag_over_the_first() -> None:
    environ = {"SERINUS_WORKERS": "2"}
    assert from_arguments(["--workers", "3", "--workers", "4"], environ).workers == 4


def test_empty_variable_is_none() -> None:
    assert from_arguments([], {"SERINUS_HOLD": "", "KUBECONFIG": ""}) == Settings()


@pytest.mark.parametrize("text", ["a b", "a,b", " a, b ,a\n"])
def test_list_in_a_variable_is_divided_by_commas_or_space(text: str) -> None:
    if text.endswith("\n"):
        text = text.strip()
    assert from_arguments([], {"SERINUS_NAMESPACE": text}).namespaces == ("a", "b")


def test_repeated_flag_makes_a_list() -> None:
    argv = ["--namespace", "a", "--namespace", "b", "--namespace", "a"]
    assert from_arguments(argv, {}).namespaces == ("a", "b")


@pytest.mark.parametrize(
    ("argv", "environ", "is_on"),
    [
        ([], {}, False),
        ([], {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, True),
        (["--leader-elect=false"], {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, False),
        (["--leader-elect"], {}, True),
        (["--leader-elect", "--workers", "3"], {}, True),
        ([], {"SERINUS_LEADER_ELECT": "TRUE"}, True),
    ],
)
def test_one_instance_leads_in_a_pod(
    argv: list[str], environ: Mapping[str, str], is_on: bool
) -> None:
    assert from_arguments(argv, environ).leader_elect is is_on


def test_kubeconfig_is_found_as_kubectl_finds_it() -> None:
    environ = {"KUBECONFIG": "/mine"}
    assert from_arguments([], environ).kubeconfig == "/mine"
    assert from_arguments(["--kubeconfig", "/other"], environ).kubeconfig == "/other"


@pytest.mark.parametrize("argv", [["--help"], ["--version"]])
def test_help_and_version_are_printed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        from_arguments(argv, {})
    assert caught.value.code == 0
    assert "serinus" in capsys.readouterr().out


def test_help_names_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_arguments(["--help"], {})
    shown = capsys.readouterr().out
    assert [flag.option for flag in FLAGS if flag.option not in shown] == []


def test_every_field_has_a_flag() -> None:
    fields = set(Settings.__dataclass_fields__)
    assert {flag.field for flag in FLAGS} == fields


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("1h30m", 5400), ("0s", 0), ("1.5s", 1.5), ("250ms", 0.25)]
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: float) -> None:
    assert settings.duration(text) == seconds


OWN = """
checks:
  x-orders:
    requests: sum by (pod) (last_over_time(orders_total{pod=~"$pods"}[$fresh]))
    events: sum by (pod) (last_over_time(orders_lost_total{pod=~"$pods"}[$fresh]))
"""


def test_checks_of_ones_own_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "checks.yaml"
    file.write_text(OWN)
    (template,) = from_arguments([], {"SERINUS_CHECKS_FILE": str(file)}).checks
    assert template.name == "x-orders"
    assert template.events.startswith("sum by (pod) (last_over_time(orders_lost_total{")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: FileNotFoundError"),
        (b"\xff", "cannot be read: UnicodeDecodeError"),
        (b"checks: [", "is no YAML: while parsing"),
        (b"checks: {x-a: 1, x-a: 2}", "is no YAML: the key 'x-a' is there twice"),
        (b"checks: !!python/object:os.system {}", "is no YAML: could not determine"),
        (b"checks: {up: {}}", "checks: 'up' must be x- and lower-case letters"),
        (b"", "'None' must be a mapping with the one key 'checks'"),
    ],
)
def test_a_file_of_checks_that_is_none_names_file_key_and_value(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "checks.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        from_arguments(["--checks-file", str(file)], {})
    assert str(caught.value).startswith(f"--checks-file {str(file)!r}: {said}")
