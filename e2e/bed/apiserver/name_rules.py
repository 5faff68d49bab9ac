"""What names, ports and addresses look like, wherever they stand."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from e2e.bed.apiserver.errors import Cause, invalid_value, required

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)

SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex "
    "used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LONGEST_LABEL = 63
_PORT_RULE = "must be between 1 and 65535, inclusive"


def label_name(path: str, name: str) -> Iterator[Cause]:
    """Yield what is wrong with a name of one label."""
    if not LABEL.fullmatch(name):
        yield invalid_value(path, name, LABEL_RULE)


def subdomain(path: str, name: str) -> Iterator[Cause]:
    """Yield what is wrong with a name of labels between dots."""
    if not SUBDOMAIN.fullmatch(name):
        yield invalid_value(path, name, SUBDOMAIN_RULE)


def full_domain(path: str, name: str) -> Iterator[Cause]:
    """Yield what is wrong with a name that is to be a domain's whole one."""
    bare = name.removesuffix(".")
    labels = bare.split(".")
    if not bare:
        yield required(path)
    elif not SUBDOMAIN.fullmatch(bare):
        yield invalid_value(path, bare, SUBDOMAIN_RULE)
    elif len(labels) < 2:
        yield invalid_value(
            path, bare, "should be a domain with at least two segments separated by dots"
        )
    else:
        for label in labels:
            if len(label) > _LONGEST_LABEL:
                yield invalid_value(path, label, "must be no more than 63 characters")


def port_number(path: str, port: Any) -> Iterator[Cause]:
    """Yield what is wrong with the number of a port."""
    if not isinstance(port, int) or not 1 <= port <= 65535:
        yield invalid_value(path, port, _PORT_RULE)


def port_name(path: str, name: str) -> Iterator[Cause]:
    """Yield what is wrong with the name of a container's port."""
    broken = (
        (len(name) > 15, "must be no more than 15 characters"),
        (
            not re.fullmatch("[-a-z0-9]+", name),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (not re.search("[a-z]", name), "must contain at least one letter (a-z)"),
        ("--" in name, "must not contain consecutive hyphens"),
        (name[:1] == "-" or name[-1:] == "-", "must not begin or end with a hyphen"),
    )
    for is_broken, rule in broken:
        if is_broken:
            yield invalid_value(path, name, rule)


def port_reference(path: str, port: Any) -> Iterator[Cause]:
    """Yield what is wrong with a port that is told by its number or by its name."""
    yield from port_name(path, port) if isinstance(port, str) else port_number(path, port)


def ip_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, or None where the text is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def not_negative(path: str, value: Any) -> Iterator[Cause]:
    """Yield a number below 0."""
    if isinstance(value, int) and value < 0:
        yield invalid_value(path, value, "must be greater than or equal to 0")
