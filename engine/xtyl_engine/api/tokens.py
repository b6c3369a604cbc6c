"""The tokens of the API, in one file of the home that keeps only their hashes. A token is shown once, when it is made; a removed
or expired one is refused from then on.
"""

from __future__ import annotations

import fcntl
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from xtyl_engine.errors import BackendError, WorkflowException
from xtyl_engine.settings import make_folder
from xtyl_engine.values.atomic_write import write_atomically
from xtyl_engine.values.locks import no_locks

PREFIX = "xtyl_"
SECRET_BYTES = 32
MAX_DAYS = 36_500
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DAY_SECONDS = 86_400.0


class TokenRefused(WorkflowException, ValueError):
    """The token cannot be made or removed as asked."""

    code = "token/refused"


class Role(StrEnum):
    """What a token may do; each role includes the one before: read, review, write."""

    READ = "read"
    REVIEW = "review"
    WRITE = "write"

    def includes(self, other: Role) -> bool:
        roles = list(Role)
        return roles.index(self) >= roles.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token without its secret. `project` None is every project; times are seconds since the epoch."""

    name: str
    role: Role
    project: str | None
    created: float
    expires: float | None = None
    digest: str = field(repr=False)

    @property
    def is_expired(self) -> bool:
        return self.expires is not None and time.time() >= self.expires


class TokenFile:
    """The tokens of one home. Safe to share between threads; processes that change it at once take turns."""

    def __init__(self, path: Path):
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._known: tuple[Token, ...] = ()
        self._lock = threading.Lock()

    def create(self, name: str, role: Role, project: str | None, *, days: int | None = None) -> str:
        """Make a token and return its secret, which is not stored. Raises TokenRefused."""
        for what, given in (("name", name), ("project", project)):
            if given is not None and not NAME.fullmatch(given):
                raise TokenRefused(
                    f"{given[:80]!r} is no {what}",
                    hint="Use at most 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit.",
                )
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = time.time()
        expires = None if days is None else now + days * DAY_SECONDS
        made = Token(name=name, role=role, project=project, created=now, expires=expires, digest=_digest(secret))

        def add(tokens: list[Token]) -> list[Token]:
            if any(each.name == name for each in tokens):
                raise TokenRefused(f"there is a token {name!r} already", hint="Remove it first, or take another name.")
            return [*tokens, made]

        self._change(add)
        return secret

    def remove(self, name: str) -> None:
        """Remove a token. Raises TokenRefused if there is none of this name."""

        def drop(tokens: list[Token]) -> list[Token]:
            left = [each for each in tokens if each.name != name]
            if len(left) == len(tokens):
                known = ", ".join(each.name for each in tokens)
                hint = f"Name one of these: {known}." if known else "There are no tokens to remove."
                raise TokenRefused(f"there is no token {name[:80]!r}", hint=hint)
            return left

        self._change(drop)

    def tokens(self) -> tuple[Token, ...]:
        """Every token, including expired ones. Raises BackendError if the file cannot be read."""
        with self._lock:
            try:
                found = self._path.stat()
                seen = (found.st_ino, found.st_mtime_ns, found.st_size)
                if seen != self._seen:
                    self._known, self._seen = _read(self._path), seen
            except FileNotFoundError:
                self._known, self._seen = (), None
            except OSError as error:
                raise BackendError(f"the tokens cannot be read: {error.strerror}") from error
            return self._known

    def find(self, secret: str) -> Token | None:
        """The token with this secret, unless it is expired. It takes equally long for any secret."""
        digest, found = _digest(secret), None
        for each in self.tokens():
            if hmac.compare_digest(each.digest, digest):
                found = each
        return None if found is None or found.is_expired else found

    def is_valid(self, token: Token) -> bool:
        """Whether a token is still valid. While the file cannot be read, only its expiry counts."""
        with suppress(BackendError):
            return not token.is_expired and token in self.tokens()
        return not token.is_expired

    def _change(self, work: Callable[[list[Token]], list[Token]]) -> None:
        make_folder(self._path.parent)
        with _alone(self._path.with_name(f"{self._path.name}.lock")):
            tokens = list(_read(self._path)) if self._path.exists() else []
            _write(self._path, work(tokens))


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "replace")).hexdigest()


def _read(path: Path) -> tuple[Token, ...]:
    try:
        entries = json.loads(path.read_bytes())["tokens"]
        return tuple(Token(**(entry | {"role": Role(entry["role"])})) for entry in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(
            f"the file of tokens {path} cannot be read: it was changed by hand, or by another release",
            hint="Remove it and make the tokens again: `xtyl token create`.",
        ) from error


def _write(path: Path, tokens: list[Token]) -> None:
    words = json.dumps({"tokens": [asdict(each) for each in tokens]}, indent=1)
    write_atomically(path, words.encode(), durable=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise no_locks(path, error) from error
        yield
    finally:
        os.close(handle)
