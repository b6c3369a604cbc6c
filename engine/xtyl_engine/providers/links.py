"""Fetches an image that a server's answer only links to. The link comes from outside: it leads to public addresses alone, or
back to the server that gave it; what was looked up and checked is what is connected to; time, bytes and redirects are bounded.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urljoin, urlsplit

from xtyl_engine.errors import PermanentError, TransientError
from xtyl_engine.limits import MAX_IMAGE_BYTES
from xtyl_engine.providers.base import Usage

_MOST_REDIRECTS = 3
_CHUNK = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# An IPv6 address of this network stands for the IPv4 address in its last four bytes.
_TRANSLATED = ip_network("64:ff9b::/96")
# What IPv6 gives to the public network; the rest is for one machine, one site, or for nothing yet.
_UNICAST = ip_network("2000::/3")
_OTHERWISE = "Set the server or the model to answer with b64_json."
Origin = tuple[str, str, int]


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever its host's name leads to by now."""

    def __init__(self, origin: Origin, address: str, seconds: float):
        scheme, host, port = origin
        self.default_port = 443 if scheme == "https" else 80
        super().__init__(host, port, timeout=seconds)
        self._address = address
        self._tls = ssl.create_default_context() if scheme == "https" else None

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self.timeout)
        self.sock = plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname=self.host)

    def cut(self) -> None:
        """End the connection, also for a thread that waits for it."""
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)


def origin_of(address: str) -> Origin:
    """Scheme, host and port of an address. Raises ValueError."""
    return _origin(urlsplit(address))


def fetch_image(link: str, giver: Origin, seconds: float, usage: Usage | None = None) -> bytes:
    """The bytes behind a link that the server `giver` gave; `usage` is what the image was paid with.

    Raises PermanentError for a link that may not be followed, TransientError for one that cannot be now.
    """
    until = time.monotonic() + seconds
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            found = _asked(link, giver, until)
        except PermanentError as error:
            error.usage = usage
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TransientError(
                f"the image that the server links to cannot be fetched: {type(error).__name__}",
                hint=_OTHERWISE,
                usage=usage,
            ) from None
        if isinstance(found, bytes):
            return found
        link = urljoin(link, found)
    raise PermanentError(
        f"the server's link to the image leads on more than {_MOST_REDIRECTS} times", hint=_OTHERWISE, usage=usage
    )


def _asked(link: str, giver: Origin, until: float) -> bytes | str:
    """The bytes behind a link, or where it leads on to."""
    parts = urlsplit(link)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not link.isascii():
        raise PermanentError("the server's link to the image is no http or https address", hint=_OTHERWISE)
    origin = _origin(parts)
    connection = _Pinned(origin, _checked(origin, giver), max(until - time.monotonic(), 0.01))
    # A server that sends a byte now and then is within every wait for the next.
    alarm = threading.Timer(max(until - time.monotonic(), 0.01), connection.cut)
    alarm.daemon = True
    alarm.start()
    try:
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
        with connection.getresponse() as response:
            if time.monotonic() >= until:
                raise TimeoutError
            if response.status in _REDIRECTS and (further := response.getheader("location")):
                return further
            if response.status != 200:
                _refused(response.status)
            data = _read(response)
        if time.monotonic() >= until:
            # What was cut looks as if it had ended.
            raise TimeoutError
        return data
    finally:
        alarm.cancel()
        connection.close()


def _refused(status: int) -> None:
    words = f"the image that the server links to is refused with {status}"
    if status in (408, 425, 429) or status >= 500:
        raise OSError(words)
    raise PermanentError(words, hint=_OTHERWISE)


def _read(response: http.client.HTTPResponse) -> bytes:
    data = bytearray()
    while part := response.read(_CHUNK):
        data += part
        if len(data) > MAX_IMAGE_BYTES:
            raise PermanentError(
                f"the image that the server links to has more than {MAX_IMAGE_BYTES:,} bytes",
                hint="Ask for a smaller `size`.",
            )
    if response.length:
        raise OSError("it ended early")
    return bytes(data)


def _origin(parts: SplitResult) -> Origin:
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _checked(origin: Origin, giver: Origin) -> str:
    """The address to connect to. Raises PermanentError if the host leads into a private network, in part or whole."""
    _, host, port = origin
    found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if origin != giver and not all(is_public(address) for address in found):
        raise PermanentError(
            f"the server's link to the image leads to {host[:100]}, an address of a private network", hint=_OTHERWISE
        )
    return found[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public network, itself and as what it stands for."""
    plain: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(plain, IPv6Address):
        inner = plain.ipv4_mapped or plain.sixtofour or (plain.teredo[1] if plain.teredo else None)
        if plain in _TRANSLATED:
            inner = IPv4Address(int(plain) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if plain not in _UNICAST:
            return False
    return plain.is_global and not plain.is_multicast
