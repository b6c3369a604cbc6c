"""What the variables of the openai provider name: the server's address, the key, the proxy on the way. What cannot be right is
refused in words before anything is sent; nothing here connects.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from xtyl_engine.errors import PermanentError

_EXAMPLE = "Write it as https://host/v1 or http://localhost:11434/v1."
_NO_KEY = (
    "Set OPENAI_API_KEY (any text for a local server) in the notebook, or where the workers of a shared back "
    "end run; then `run.retry()`. Or use provider='offline'."
)
_PROXIES = ("http", "https", "socks4", "socks5", "socks5h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where requests go, and as whom. `name` is the address without a password; `query` are the fields after its `?`."""

    address: str
    name: str
    host: str
    query: tuple[tuple[str, str], ...]
    key: str = field(repr=False)
    organization: str | None
    project: str | None
    proxy: str | None = field(repr=False)


def read_place(environment: Mapping[str, str], customary: str) -> Destination:
    """The place that these variables name, at `customary` where they name no server.

    Raises PermanentError with the variable that cannot be right.
    """
    key = _set(environment, "OPENAI_API_KEY")
    if key is None:
        raise PermanentError("the openai provider has no key", hint=_NO_KEY)
    given = _set(environment, "OPENAI_BASE_URL") or customary
    address, host, query = _address(given)
    return Destination(
        address=address,
        name=_without_password(address),
        host=host,
        query=query,
        key=_header(key, "OPENAI_API_KEY"),
        organization=_header(_set(environment, "OPENAI_ORG_ID") or "", "OPENAI_ORG_ID") or None,
        project=_header(_set(environment, "OPENAI_PROJECT_ID") or "", "OPENAI_PROJECT_ID") or None,
        proxy=_proxy(environment, address, host),
    )


def _set(environment: Mapping[str, str], variable: str) -> str | None:
    return environment.get(variable, "").strip() or None


def _header(value: str, variable: str) -> str:
    """A value that is sent in a header, which has printable ASCII alone."""
    place = next((place for place, each in enumerate(value) if not "\x20" <= each <= "\x7e"), None)
    if place is None:
        return value
    kind = "a line break" if value[place] in "\r\n" else "a character that no key has"
    raise PermanentError(
        f"{variable} has {kind} at place {place + 1} of {len(value)}",
        hint="Copy it again from the provider's page: one line of letters, digits and hyphens.",
    )


def _address(given: str) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """An address without its query, its host, and the query's fields."""
    try:
        parts = urlsplit(given)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise _no_address("is no address that can be read") from None
    if any(each.isspace() or not each.isprintable() for each in given):
        raise _no_address("has a space or a line break in it")
    if parts.scheme not in ("http", "https") or "://" not in given:
        raise _no_address("does not begin with http:// or https://")
    if not host:
        raise _no_address("names no host")
    if port == 0:
        raise _no_address("names port 0")
    path = parts.path.rstrip("/")
    for end in ("/chat/completions", "/images/generations"):
        if path.endswith(end):
            raise _no_address(f"ends in {end}, which is added to it: leave that out")
    return parts._replace(path=path, query="", fragment="").geturl(), host, tuple(parse_qsl(parts.query))


def _no_address(why: str) -> PermanentError:
    # The text itself is not quoted: a password may stand anywhere in it.
    return PermanentError(f"OPENAI_BASE_URL {why}", hint=_EXAMPLE)


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _proxy(environment: Mapping[str, str], address: str, host: str) -> str | None:
    """The proxy on the way to an address, by the variables of the run's kernel or else of this process."""
    scheme = urlsplit(address).scheme
    for variables in (environment, os.environ):
        proxies = {name: _either(variables, f"{name}_proxy") for name in (scheme, "all", "no")}
        found = proxies[scheme] or proxies["all"]
        if found and not _is_passed_by(host, proxies["no"]):
            return _checked_proxy(found if "://" in found else f"http://{found}")
        if found:
            return None
    return None


def _is_passed_by(host: str, names: str) -> bool:
    known = {name.strip().lstrip(".").lower() for name in names.split(",")} - {""}
    return "*" in known or any(host == name or host.endswith(f".{name}") for name in known)


def _either(variables: Mapping[str, str], name: str) -> str:
    return (variables.get(name) or variables.get(name.upper()) or "").strip()


def _checked_proxy(proxy: str) -> str:
    try:
        parts = urlsplit(proxy)
        is_right = parts.scheme in _PROXIES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise PermanentError(
            "the variable HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names no proxy that can be used",
            hint="Write it as http://host:port, or unset it where no proxy is needed.",
        )
    return proxy
