"""Fetches what a user names by URL, if the operator lets it: the address of the connected socket is what is judged.

A name is looked up once, every address is judged, and the connection goes to an address that was judged; then the peer
of the socket is judged again. So neither a redirect, nor a name that resolves differently the second time (DNS
rebinding), nor another spelling of an address (decimal, IPv4 in IPv6) leads anywhere else. No proxy is asked.

Not covered: what a public server does on the caller's behalf, and a network whose private hosts have public addresses.
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import Field

from bottega.core.errors import InvalidValue, PolicyDenied, TooLarge, TransferFailed
from bottega.core.value import Value

CHUNK = 64 << 10
REDIRECTS = (301, 302, 303, 307, 308)
NAT64 = (
    IPv6Network("64:ff9b::/96"),
    IPv6Network("64:ff9b:1::/48"),
)  # RFC 6052 and 8215: IPv4 in the last 32 bits
PORTS = {"http": 80, "https": 443}
Resolve = Callable[[str, int], list[str]]
Address = IPv4Address | IPv6Address


class Fetching(Value, frozen=True):
    """What may be fetched. Without ``hosts`` nothing may."""

    hosts: tuple[str, ...] = Field(default=(), description="names as shell patterns; '*' is any public host")
    private: tuple[str, ...] = Field(
        default=(), description="networks that may be reached although they are not public"
    )
    plain: bool = Field(default=False, description="http without TLS, too")
    ports: tuple[int, ...] = (443, 80)
    bytes: int = Field(default=20 << 20, ge=1, description="longest answer")
    seconds: float = Field(default=15.0, gt=0, le=300, description="longest time for all of it")
    redirects: int = Field(default=3, ge=0, le=10)


@dataclass(frozen=True)
class Fetched:
    """What was found at a URL; ``url`` is the last one of a chain of redirects."""

    url: str
    data: bytes
    media_type: str


def resolved(host: str, port: int) -> list[str]:
    """Addresses of a name, as the system finds them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Fetcher:
    """Fetches under a policy; may be used from several threads."""

    def __init__(self, policy: Fetching, resolve: Resolve = resolved) -> None:
        self.policy = policy
        self._resolve = resolve
        self._private = [ip_network(each, strict=False) for each in policy.private]

    def fetch(self, url: str, where: str = "url", headers: Mapping[str, str] | None = None) -> Fetched:
        """The bytes at a URL.

        Raises:
            PolicyDenied: the operator does not let this be fetched; says why.
            InvalidValue: it is no URL that could be.
            TooLarge: the answer is longer than is allowed.
            TransferFailed: there was no answer in time, or an error.
        """
        deadline = monotonic() + self.policy.seconds
        for _ in range(self.policy.redirects + 1):
            scheme, host, port, target = self._judged(url, where)
            try:
                answer, connection = self._asked(scheme, host, port, target, where, deadline, headers or {})
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                raise TransferFailed(f"it cannot be fetched: {type(error).__name__}", where=where) from error
            try:
                if answer.status in REDIRECTS and (location := answer.getheader("location")):
                    url = urljoin(url, location)
                    continue
                if answer.status != 200:
                    raise TransferFailed(f"the server answered {answer.status}", where=where)
                data = self._read(answer, connection, where, deadline)
                kind = (answer.getheader("content-type") or "").partition(";")[0].strip().lower()
                return Fetched(url, data, kind)
            except (OSError, http.client.HTTPException) as error:
                raise TransferFailed(f"the answer broke off: {type(error).__name__}", where=where) from error
            finally:
                connection.close()
        raise PolicyDenied(f"more than {self.policy.redirects} redirects", where=where)

    def _judged(self, url: str, where: str) -> tuple[str, str, int, str]:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").rstrip("."), parts.port
        except ValueError as error:
            raise InvalidValue("it is no URL", where=where) from error
        schemes = ("http", "https") if self.policy.plain else ("https",)
        if parts.scheme not in schemes or not host or parts.username is not None or len(url) > 2048:
            raise PolicyDenied(
                f"only {' and '.join(schemes)} are fetched, without a name and password", where=where,
                remedy="the operator decides: [fetch]",
            )  # fmt: skip
        if any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
            raise InvalidValue("there is a space or a control character in the URL", where=where)
        if not any(fnmatchcase(host.lower(), pattern.lower()) for pattern in self.policy.hosts):
            raise PolicyDenied(
                "nothing is fetched from there" if self.policy.hosts else "URLs are not fetched here", where=where,
                remedy="send the file to /v1/files, or ask the operator: [fetch] hosts",
            )  # fmt: skip
        port = port or PORTS[parts.scheme]
        if port not in self.policy.ports:
            raise PolicyDenied(
                f"port {port} is not fetched from", where=where, remedy="the operator decides: [fetch] ports"
            )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return parts.scheme, host, port, target

    def _asked(
        self,
        scheme: str,
        host: str,
        port: int,
        target: str,
        where: str,
        deadline: float,
        headers: Mapping[str, str],
    ) -> tuple[http.client.HTTPResponse, http.client.HTTPConnection]:
        addresses = self._resolve(host, port)
        for address in addresses:
            self._let(address, where)
        connection: Any = http.client.HTTPConnection(host, port)
        error: OSError | None = None
        for address in addresses:
            try:
                peer = socket.create_connection((address, port), timeout=self._left(deadline))
                break
            except OSError as failure:
                error = failure
        else:
            raise error or OSError("the name has no address")
        try:
            self._let(str(peer.getpeername()[0]), where)  # what counts is who is there
            if scheme == "https":
                peer = ssl.create_default_context().wrap_socket(peer, server_hostname=host)
            connection.sock = peer
            connection.request(
                "GET", target, headers={"user-agent": "bottega", "accept-encoding": "identity", **headers}
            )
            return connection.getresponse(), connection
        except BaseException:
            peer.close()
            raise

    def _read(self, answer: http.client.HTTPResponse, connection: Any, where: str, deadline: float) -> bytes:
        pieces, size = list[bytes](), 0
        while True:
            if connection.sock is not None:
                connection.sock.settimeout(self._left(deadline))
            self._left(deadline)
            piece = answer.read1(CHUNK)
            if not piece:
                if answer.length:
                    raise http.client.IncompleteRead(b"", answer.length)
                return b"".join(pieces)
            size += len(piece)
            if size > self.policy.bytes:
                raise TooLarge(f"the answer has more than {self.policy.bytes} bytes", where=where)
            pieces.append(piece)

    def _left(self, deadline: float) -> float:
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _let(self, address: str, where: str) -> None:
        found = ip_address(address.partition("%")[0])
        if not any(found in network for network in self._private) and not all(map(_public, _meant(found))):
            raise PolicyDenied(
                "the address is not public", where=where, remedy="the operator decides: [fetch] private"
            )


def _meant(address: Address) -> list[Address]:
    """An address with every IPv4 address that it stands for."""
    meant: list[Address] = [address]
    if isinstance(address, IPv6Address):
        inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if (
            any(address in network for network in NAT64) or int(address) >> 32 == 0
        ):  # and IPv4-compatible ones
            inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
        meant += [each for each in inner if each is not None]
    return meant


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return True  # the address inside decides
    if isinstance(address, IPv6Address) and any(address in network for network in NAT64):
        return True
    if isinstance(address, IPv6Address) and address.is_site_local:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
