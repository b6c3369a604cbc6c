"""The address of a vendor's server, as a variable gives it: with or without the version at its end, and never shown with a
password.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from xtyl_engine.errors import PermanentError
from xtyl_engine.providers.vendors.table import Vendor

# The libraries add the version themselves.
_VERSIONS = ("/v1", "/v1beta", "/v1/messages", "/v1/chat/completions")


def root_of(vendor: Vendor, given: str) -> str:
    """The address that the library takes. Raises PermanentError for one that cannot be asked."""
    address = given.strip().rstrip("/") or vendor.address
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_address = False
    if not is_address:
        raise PermanentError(
            f"{vendor.address_variable} is no address of a server",
            hint=f"Write it as {vendor.address}: http:// or https://, the host, and a port if it needs one.",
        )
    version = next((each for each in sorted(_VERSIONS, key=len, reverse=True) if address.endswith(each)), "")
    return address.removesuffix(version)


def place_of(address: str) -> str:
    """A server's address without a password or key in it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
