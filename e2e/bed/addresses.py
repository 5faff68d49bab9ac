"""Gives each pod an address of its own that no other bed on this machine uses."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

LOOPBACK = IPv4Network("127.64.0.0/10")
"""Where pods live unless there is a network for them."""
BLOCK_PREFIX = 18
_LOCK_PORT = 47_111
_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class NoAddressError(Exception):
    """No address is free, or one may not be listened on; the message says what to do."""


class AddressBlock:
    """A block of 16,000 addresses of a network, held while this process lives.

    The block is claimed by binding a port on its last address: the kernel releases it with the
    process, however that ends.
    """

    def __init__(self, network: IPv4Network = LOOPBACK) -> None:
        self._lock, self._block = _claim(network)
        self._issued = self._addresses()

    def issue(self) -> str:
        """Answer an address; none is issued twice, since proxies remember old ones for a while.

        Raises:
            NoAddressError: All 16,000 were issued.
        """
        try:
            return next(self._issued)
        except StopIteration:
            raise NoAddressError("this bed has used all its 16,000 pod addresses") from None

    def release(self) -> None:
        """Give the block back."""
        self._lock.close()

    def _addresses(self) -> Iterator[str]:
        return (str(found) for found in self._block if 0 < found.packed[3] < 255)


def _claim(network: IPv4Network) -> tuple[socket.socket, IPv4Network]:
    for block in network.subnets(new_prefix=BLOCK_PREFIX):
        lock = socket.socket()
        with suppress(OSError):
            lock.bind((str(block.broadcast_address), _LOCK_PORT))
            return lock, block
        lock.close()
    raise NoAddressError(f"all address blocks of {network} are taken by other beds")


def free_port() -> int:
    """Answer a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def why_not_bound(address: str, port: int, error: OSError) -> str:
    """Say in one line why a pod cannot listen, and what helps."""
    if isinstance(error, PermissionError):
        first = _UNPRIVILEGED.read_text().strip() if _UNPRIVILEGED.exists() else "1024"
        return (
            f"a pod may not listen on {address}:{port}: ports below {first} need root here; "
            "give the container a containerPort such as 8080 and the Service a targetPort "
            "of that number or name"
        )
    return (
        f"a pod cannot listen on {address}:{port} ({error.strerror}): "
        "another program listens on that port of every address"
    )
