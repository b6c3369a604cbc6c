"""What to do about what a database or a broker answered. It reads their words only, and knows no driver."""

from __future__ import annotations

from collections.abc import Iterable

DOCTOR = "`xtyl doctor` looks."
Remedies = Iterable[tuple[str, str]]

SQLITE: Remedies = (
    ("not a database", "The file is something else's: let XTYL_DATABASE_URL name another."),
    ("malformed", "The file is damaged: put a copy in its place, or let XTYL_DATABASE_URL name another."),
    ("forked", "Start it with multiprocessing.get_context('spawn'), or use xtyl in the parent only."),
    ("locked", "Another program holds it, such as a database browser: close that and try again; nothing is lost."),
    ("full", "Make room on its disk, then try again."),
    ("readonly", "Make the file and its folder yours to write, or let XTYL_DATABASE_URL name another file."),
    ("unable to open", "Its folder must be there and yours to write: make it, or correct XTYL_DATABASE_URL."),
)
POSTGRESQL: Remedies = (
    ("password", "Correct the user or the password in XTYL_DATABASE_URL."),
    ("prepared statement", "A pooler is in between: add `prepare_threshold=none` to the query of XTYL_DATABASE_URL."),
    ("role", "Correct the user in XTYL_DATABASE_URL, or create it with `createuser`."),
    ("does not exist", "Create it with `createdb`, or correct the database's name in XTYL_DATABASE_URL."),
    ("permission denied", "Grant this user the rights to the database's schema."),
    ("too many clients", "Raise its max_connections, or lower XTYL_SLOTS of the workers."),
    ("resolve host", "Correct the host in XTYL_DATABASE_URL."),
    ("", "Is it running, and do host and port in XTYL_DATABASE_URL lead there?"),
)
BROKER: Remedies = (
    ("username-password", "Correct the password in XTYL_REDIS_URL: redis://:password@host:6379/0."),
    ("Authentication required", "It wants a password: XTYL_REDIS_URL=redis://:password@host:6379/0."),
    ("maxmemory", "It is full: raise its maxmemory, or remove what others keep there. Runs wait, and lose nothing."),
    ("read only", "It is a replica: let XTYL_REDIS_URL name the primary."),
    ("No permissions", "Give this user the rights to lists, streams, channels and scripts."),
    ("closed by server", "Is a Redis or Valkey server there at all? Correct host and port in XTYL_REDIS_URL."),
    ("Protocol Error", "Is a Redis or Valkey server there at all? Correct host and port in XTYL_REDIS_URL."),
    ("", "Start it, or correct host and port in XTYL_REDIS_URL."),
)


def remedy(words: str, remedies: Remedies, otherwise: str = "") -> str:
    """What to do about an answer, the first that fits."""
    found = next((cure for part, cure in remedies if part.lower() in words.lower()), otherwise)
    return f"{found} {DOCTOR}".strip()
