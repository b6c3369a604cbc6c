"""The home of any-llm, which knows how each vendor spells a request and an answer. Its clients get their key, address and HTTP
client from here and nothing from this process's environment; none of them tries again by itself.
"""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.vendors import calls
from xtyl_engine.providers.vendors.table import Vendor, why_missing

if TYPE_CHECKING:
    from any_llm import AnyLLM


@dataclass(frozen=True, slots=True)
class VendorClient:
    """The library's client of one vendor, and the HTTP client beneath it."""

    library: AnyLLM
    http: Any

    async def complete(self, **facts: Any) -> Any:
        """One answer to messages."""
        return await self.library.acompletion(**facts)

    async def aclose(self) -> None:
        """End its connections."""
        await self.http.aclose()


def lane_to(vendor: Vendor, key: str, address: str) -> AbstractContextManager[calls.Lane[VendorClient]]:
    """A lane to a vendor, for one call. Raises PermanentError, once it is opened, if a package is missing."""
    return calls.lane((vendor.name, key, address), lambda: _connect(vendor, key, address))


def _connect(vendor: Vendor, key: str, address: str) -> VendorClient:
    try:
        http, wired = _wired(vendor, address)
        from any_llm import AnyLLM
    except ImportError:
        message, hint = why_missing(vendor.name, vendor.missing() or vendor.packages, vendor.extra)
        raise PermanentError(message, hint=hint) from None
    # Its own classes of errors: without this it warns about those of the vendors' clients.
    made = AnyLLM.create(vendor.name, api_key=key, api_base=address, unified_exceptions=True, **wired)
    return VendorClient(made, http)


def _wired(vendor: Vendor, address: str) -> tuple[Any, dict[str, Any]]:
    """The HTTP client beneath, which records what goes over the wire, and how the vendor's library is given it."""
    http: Any
    if vendor.wiring == "http_client":
        import httpx

        http = httpx.AsyncClient(event_hooks=calls.hooks(httpx.AsyncByteStream), timeout=None, verify=_trust(httpx))
        return http, {"http_client": http, "max_retries": 0}
    import httpx2

    http = httpx2.AsyncClient(event_hooks=calls.hooks(httpx2.AsyncByteStream), timeout=None, verify=_trust(httpx2))
    if vendor.wiring == "async_client":
        # It has no `max_retries`, and tries again only where a `retry_config` says so.
        return http, {"async_client": http}
    # Without these two it looks into the environment whether to take Google's other service, and which version.
    options = {"base_url": address, "api_version": "v1beta", "httpx_async_client": http}
    return http, {"http_options": options, "vertexai": False, "max_retries": 0}


@cache
def _trust(http: ModuleType) -> ssl.SSLContext:
    """Which certificates count, read once: to read them takes longer than all else."""
    trusted: ssl.SSLContext = http.create_ssl_context()
    return trusted
