"""What to do about an error of a database or a broker. Reads only the words of the error, and knows no driver."""

from __future__ import annotations

from collections.abc import Iterable

DOCTOR = "Run `xtyl doctor` to check."
Remedies = Iterable[tuple[str, str]]

SQLITE: Remedies = (
    ("not a database", "The file belongs to another program: let XTYL_DATABASE_URL name another file."),
    ("malformed", "The file is damaged: put a copy in its place, or let XTYL_DATABASE_URL name another file."),
    ("forked", "Start it with multiprocessing.get_context('spawn'), or use xtyl in the parent only."),
    ("locked", "Close the program that holds it, such as a database browser, and try again; nothing is lost."),
    ("full", "Make room on its disk, then try again."),
    ("readonly", "Make the file and its folder yours to write, or let XTYL_DATABASE_URL name another file."),
    ("unable to open", "Make its folder, and make it yours to write, or correct XTYL_DATABASE_URL."),
)
POSTGRESQL: Remedies = (
    ("password", "Correct the user or the password in XTYL_DATABASE_URL."),
    ("prepared statement", "Add `prepare_threshold=none` to the query of XTYL_DATABASE_URL: a pooler is in between."),
    ("role", "Correct the user in XTYL_DATABASE_URL, or create it with `createuser`."),
    ("does not exist", "Create it with `createdb`, or correct the database's name in XTYL_DATABASE_URL."),
    ("permission denied", "Grant this user the rights to the database's schema."),
    ("too many clients", "Raise its max_connections, or lower XTYL_SLOTS of the workers."),
    ("resolve host", "Correct the host in XTYL_DATABASE_URL."),
    ("", "Start it, or correct host and port in XTYL_DATABASE_URL."),
)
BROKER: Remedies = (
    ("username-password", "Correct the password in XTYL_REDIS_URL: redis://:password@host:6379/0."),
    ("Authentication required", "Set a password: XTYL_REDIS_URL=redis://:password@host:6379/0."),
    ("maxmemory", "It is full: raise its maxmemory, or remove what others keep there. Runs wait and lose nothing."),
    ("read only", "Let XTYL_REDIS_URL name the primary: this is a replica."),
    ("No permissions", "Give this user the rights to lists, streams, channels and scripts."),
    ("closed by server", "Is a Redis or Valkey server there at all? Correct host and port in XTYL_REDIS_URL."),
    ("Protocol Error", "Is a Redis or Valkey server there at all? Correct host and port in XTYL_REDIS_URL."),
    ("", "Start it, or correct host and port in XTYL_REDIS_URL."),
)


def remedy(words: str, remedies: Remedies, otherwise: str = "") -> str:
    """The first remedy that fits an answer, and how to check."""
    found = next((cure for part, cure in remedies if part.lower() in words.lower()), otherwise)
    return f"{found} {DOCTOR}".strip()
