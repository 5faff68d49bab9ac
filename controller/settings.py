"""Every knob, frozen, with its unit, default and flag (contract.md section 6)."""

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit

import yaml

import controller
from controller.api.template import Template, templates_of

Dialect = Literal["common", "ingress-nginx", "traefik"]
Hold = Literal["auto", "admission", "pause"]
LogFormat = Literal["auto", "text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

DIALECTS_WITHOUT_BED = ("higress", "tengine", "ack", "alb")
"""Data planes with rules of their own that nothing here is tested against yet."""
HARD_ACCOUNT_LIMIT = 500
HOLD_CHECK_SECONDS = 600.0
"""Between two proofs of the hold policy, at most (safety.md section 2)."""
ENVIRONMENT_PREFIX = "SERINUS_"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_PASSWORD = re.compile(r"//[^/]*@")
"""A name and a password in a URL; a message goes to logs."""
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class UsageError(Exception):
    """A flag or variable that cannot be obeyed; the process ends with exit code 2.

    The message names the flag, the value seen and what is allowed.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an administrator decides; users decide the rest in annotations.

    Attributes:
        kubeconfig: paths as in KUBECONFIG; None: the service account in a pod, else kubectl's file.
        context: a context of the kubeconfig; None is its current one.
        namespaces: the only ones looked at; empty means all.
        ingress_classes: the classes whose controllers read the canary annotations.
        annotation_prefix: what the proxy's annotations begin with, without the slash.
        dialect: which proxy's rules hold; `common` is the stricter of all.
        hold: how a Deployment is held (safety.md section 2).
        hold_check_seconds: how often `auto` proves the policy again, 1 s to 10 minutes.
        propagation_seconds: `D_prop`, until a proxy has seen a change.
        drain_seconds: `D_drain`, until the requests it had then are answered.
        ready_seconds: how long pods are ready before they count.
        max_accounts: accounts in one `header-values`, at most 500.
        leader_elect: whether a Lease decides which instance writes.
        lease_namespace: where the Lease is; None: our own namespace.
        workers: releases worked on at once.
        qps: requests per second to the API server, bursts of twice as many.
        http_address: `HOST:PORT` of health and metrics; no host means every address.
        prometheus_url: the metrics server that checks ask; None: there is none.
        prometheus_token_file: holds a bearer token for it.
        scrape_seconds: how often it looks at the proxy: the length of a window.
        checks: the administrator's own, of a file.
        log_format: `auto` is text on a terminal, else json.
        log_level: the lowest level that is written.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    ingress_classes: tuple[str, ...] = ("nginx",)
    annotation_prefix: str = "nginx.ingress.kubernetes.io"
    dialect: Dialect = "common"
    hold: Hold = "auto"
    hold_check_seconds: float = HOLD_CHECK_SECONDS
    propagation_seconds: float = 10.0
    drain_seconds: float = 30.0
    ready_seconds: float = 5.0
    max_accounts: int = 50
    leader_elect: bool = False
    lease_namespace: str | None = None
    workers: int = 8
    qps: float = 50.0
    http_address: str = "127.0.0.1:8080"
    prometheus_url: str | None = None
    prometheus_token_file: str | None = None
    scrape_seconds: float = 15.0
    checks: tuple[Template, ...] = ()
    log_format: LogFormat = "auto"
    log_level: LogLevel = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One knob's way in.

    Attributes:
        name: without the dashes; the variable is derived from it.
        field: the field of `Settings` it sets.
        read: makes the value of a text, or raises ValueError with what is allowed.
        help: one line.
        repeatable: takes several, in the variable separated by commas or spaces.
        bare: what the flag means without a value; None where it needs one.
    """

    name: str
    field: str
    read: Callable[[str], Any]
    help: str
    repeatable: bool = False
    bare: str | None = None

    @property
    def option(self) -> str:
        """The flag as it is typed."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable that means the same."""
        return ENVIRONMENT_PREFIX + self.name.replace("-", "_").upper()


def from_arguments(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Read the flags, then the variables, then the defaults.

    Args:
        argv: the arguments without the program's name.
        environ: besides `SERINUS_<FLAG>`: KUBECONFIG, as for kubectl, and KUBERNETES_SERVICE_HOST,
            which says that this is a pod, where a Lease is the default.

    Raises:
        UsageError: a flag is unknown or a value is not allowed.
        SystemExit: `--help` or `--version` was asked for and is printed.
    """
    typed = vars(_parser().parse_args(argv))
    values: dict[str, Any] = {
        "kubeconfig": environ.get("KUBECONFIG") or None,
        "leader_elect": bool(environ.get("KUBERNETES_SERVICE_HOST")),
    }
    for flag in FLAGS:
        given = typed[flag.name]
        if given is not None:
            values[flag.field] = _value(flag, flag.option, given)
        elif environ.get(flag.variable):
            told = environ[flag.variable]
            texts = re.split(r"[\s,]+", told.strip()) if flag.repeatable else [told]
            values[flag.field] = _value(flag, flag.variable, texts)
    return Settings(**values)


def _value(flag: Flag, source: str, texts: Sequence[str]) -> Any:
    found = []
    for text in texts:
        try:
            found.append(flag.read(text))
        except ValueError as error:
            shown = _PASSWORD.sub("//***@", text)
            raise UsageError(f"{source} {shown!r}: {error}") from None
    return tuple(dict.fromkeys(found)) if flag.repeatable else found[-1]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def _parser() -> _Parser:
    parser = _Parser(
        prog="serinus",
        description="Run canary releases for the Services labelled serinus.dev/canary=enabled.",
        epilog=f"Every flag has a variable: --hold is {ENVIRONMENT_PREFIX}HOLD.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"serinus {controller.__version__}")
    for flag in FLAGS:
        optional: Mapping[str, Any] = {"nargs": "?", "const": flag.bare} if flag.bare else {}
        parser.add_argument(
            flag.option,
            dest=flag.name,
            action="append",
            metavar="VALUE",
            # argparse takes a percent sign for a placeholder.
            help=flag.help.replace("%", "%%"),
            **optional,
        )
    return parser


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


def _one_of(*allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return read


def _dialect(text: str) -> str:
    if text in DIALECTS_WITHOUT_BED:
        raise ValueError(
            "is not supported yet: this data plane has rules of its own that are not tested here; "
            "supported are common, ingress-nginx, traefik"
        )
    return _one_of("common", "ingress-nginx", "traefik")(text)


def _matching(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"must be {allowed}")
        return text

    return read


def duration(text: str) -> float:
    """Read seconds from a Go duration: `10s`, `500ms`, `1m30s`; a bare 0 needs no unit.

    Raises:
        ValueError: it is none, or longer than a day.
    """
    parts = _DURATION.findall(text)
    is_whole = "".join(number + unit for number, unit in parts) == text
    if text != "0" and not (parts and is_whole):
        raise ValueError("must be a duration such as 10s, 500ms or 1m30s")
    seconds = float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if seconds > 86400:
        raise ValueError("must be at most 24h")
    return seconds


def _check_interval(text: str) -> float:
    seconds = duration(text)
    if not 1 <= seconds <= HOLD_CHECK_SECONDS:
        raise ValueError("must be from 1s to 10m")
    return seconds


def _integer(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and low <= int(text) <= high):
            raise ValueError(f"must be an integer from {low} to {high}")
        return int(text)

    return read


def _rate(text: str) -> float:
    if re.fullmatch(r"\d{1,5}(\.\d+)?", text) is None or not 1 <= float(text) <= 10000:
        raise ValueError("must be a number from 1 to 10000")
    return float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and int(port) <= 65535
    is_host = ":" not in host or (host.startswith("[") and host.endswith("]"))
    if not (colon and is_port and is_host):
        raise ValueError("must be HOST:PORT or :PORT, such as 127.0.0.1:8080")
    return text


def _url(text: str) -> str:
    """Read the address of the metrics server."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise _NO_URL from None
    if not is_url or not text.isascii() or not text.isprintable() or " " in text:
        raise _NO_URL
    if "@" in parts.netloc:
        raise ValueError("must not hold a password: use --prometheus-token-file")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or a fragment")
    return text


_NO_URL = ValueError("must be an http or https URL, such as http://prometheus:9090")


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that is there twice: one of them would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  # the library's signature
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} is there twice")
        return super().construct_mapping(node, deep)


def _checks(text: str) -> tuple[Template, ...]:
    try:
        with Path(text).open(encoding="utf-8") as file:
            document = yaml.load(file, Loader=_StrictLoader)  # noqa: S506  # a SafeLoader
    except (OSError, UnicodeError, RecursionError) as error:
        raise ValueError(f"cannot be read: {type(error).__name__}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {' '.join(str(error).split())}") from None
    return templates_of(document)


def _scrape(text: str) -> float:
    seconds = duration(text)
    if not 1 <= seconds <= 300:
        raise ValueError("must be from 1s to 5m")
    return seconds


FLAGS: tuple[Flag, ...] = (
    Flag(name="kubeconfig", field="kubeconfig", read=_text, help="path, as for kubectl"),
    Flag(name="context", field="context", read=_text, help="context of the kubeconfig"),
    Flag(
        name="namespace",
        field="namespaces",
        read=_matching(_LABEL, "the name of a namespace"),
        repeatable=True,
        help="look at these only, and make no cluster-scoped call (repeatable; default: all)",
    ),
    Flag(
        name="ingress-class",
        field="ingress_classes",
        read=_matching(_DOMAIN, "the name of an IngressClass"),
        repeatable=True,
        help="classes whose controllers read the annotations (repeatable; default: nginx)",
    ),
    Flag(
        name="annotation-prefix",
        field="annotation_prefix",
        read=_matching(_DOMAIN, "a DNS name without a slash"),
        help="prefix of the proxy's annotations (default: nginx.ingress.kubernetes.io)",
    ),
    Flag(
        name="dialect",
        field="dialect",
        read=_dialect,
        help="common, ingress-nginx or traefik: whose rules hold (default: common)",
    ),
    Flag(
        name="hold",
        field="hold",
        read=_one_of("auto", "admission", "pause"),
        help="auto, admission or pause: how a Deployment is held (default: auto)",
    ),
    Flag(
        name="hold-check-interval",
        field="hold_check_seconds",
        read=_check_interval,
        help="how often auto asks whether the policy still holds (default: 10m, at most 10m)",
    ),
    Flag(
        name="propagation-wait",
        field="propagation_seconds",
        read=duration,
        help="until every proxy has seen a change (default: 10s)",
    ),
    Flag(
        name="drain-wait",
        field="drain_seconds",
        read=duration,
        help="the longest request in flight (default: 30s)",
    ),
    Flag(
        name="ready-wait",
        field="ready_seconds",
        read=duration,
        help="how long pods are ready before they count (default: 5s)",
    ),
    Flag(
        name="max-accounts",
        field="max_accounts",
        read=_integer(1, HARD_ACCOUNT_LIMIT),
        help="accounts in one list (default: 50, at most 500)",
    ),
    Flag(
        name="leader-elect",
        field="leader_elect",
        read=_boolean,
        bare="true",
        help="one active instance, by a Lease (default: true in a pod, else false)",
    ),
    Flag(
        name="lease-namespace",
        field="lease_namespace",
        read=_matching(_LABEL, "the name of a namespace"),
        help="where the Lease is (default: our own namespace)",
    ),
    Flag(
        name="workers",
        field="workers",
        read=_integer(1, 256),
        help="releases worked on at once (default: 8)",
    ),
    Flag(
        name="qps",
        field="qps",
        read=_rate,
        help="requests per second to the API server (default: 50)",
    ),
    Flag(
        name="http-address",
        field="http_address",
        read=_address,
        help="health and metrics (default: 127.0.0.1:8080)",
    ),
    Flag(
        name="prometheus-url",
        field="prometheus_url",
        read=_url,
        help="the metrics server that checks ask (default: none, checks are refused)",
    ),
    Flag(
        name="prometheus-token-file",
        field="prometheus_token_file",
        read=_text,
        help="file with a bearer token for it, read at every question (default: none)",
    ),
    Flag(
        name="scrape-interval",
        field="scrape_seconds",
        read=_scrape,
        help="how often it looks at the proxy (default: 15s)",
    ),
    Flag(
        name="checks-file",
        field="checks",
        read=_checks,
        help="YAML file with checks of your own, x-NAME (default: none)",
    ),
    Flag(
        name="log-format",
        field="log_format",
        read=_one_of("text", "json"),
        help="text or json (default: text on a terminal, else json)",
    ),
    Flag(
        name="log-level",
        field="log_level",
        read=_one_of("debug", "info", "warning", "error"),
        help="debug, info, warning or error (default: info)",
    ),
)
