"""Who asks, and what they may: a bearer token's role and project, checked before anything else of a route is read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from xtyl_engine.api.problems import RequestRefused
from xtyl_engine.api.service import Service
from xtyl_engine.api.streaming.broadcaster import Hub
from xtyl_engine.api.thread_pools import Desk
from xtyl_engine.api.tokens import Role, Token, TokenFile
from xtyl_engine.telemetry.prometheus import ApiMetrics

log = logging.getLogger("xtyl")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="xtyl"'}
MAX_TOKEN = 200
_bearer = HTTPBearer(auto_error=False, description="`xtyl token create NAME --role read --project P` makes one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """All that the routes use, made once for an app."""

    service: Service
    tokens: TokenFile
    desk: Desk
    hub: Hub
    metrics: ApiMetrics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks. `scope` is the one project that is theirs, None for all; `still_valid` says, of a stream that stays open, whether
    the token counts still."""

    token: Token
    still_valid: Callable[[], bool]

    @property
    def scope(self) -> str | None:
        return self.token.project

    def signed(self, by: str | None) -> str:
        """Who decides, as it is kept."""
        return f"{by} ({self.token.name})" if by else self.token.name

    def note(self, action: str, what: str) -> None:
        """Say in the log who did what: a line for each request that wrote."""
        log.info("%s by %s: %s", action, self.token.name, what)


def office(request: Request) -> Office:
    """What this app is made of."""
    found: Office = request.app.state.office
    return found


def unauthorized(said: str) -> RequestRefused:
    """The error for whoever has no token that counts."""
    return RequestRefused(
        said,
        status=401,
        code="api/unauthorized",
        hint="Send `Authorization: Bearer <token>`; `xtyl token create` makes one.",
        headers=CHALLENGE,
    )


def allowed(role: Role) -> Callable[..., Awaitable[Caller]]:
    """The caller of a route that asks for at least this role. Raises RequestRefused with 401 or 403."""

    async def check(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        tokens = office(request).tokens
        token = None if given is None or len(given.credentials) > MAX_TOKEN else tokens.find(given.credentials)
        if token is None:
            raise unauthorized("the token does not count" if given else "there is no token")
        if not token.role.includes(role):
            raise RequestRefused(
                f"the token {token.name!r} has the role {token.role}, and this takes {role}",
                status=403,
                code="api/forbidden",
                hint=f"Make one with `xtyl token create NAME --role {role}`.",
            )
        return Caller(token=token, still_valid=lambda: tokens.is_valid(token))

    return check


In = Annotated[Office, Depends(office)]
Reader = Annotated[Caller, Depends(allowed(Role.READ))]
Reviewer = Annotated[Caller, Depends(allowed(Role.REVIEW))]
Writer = Annotated[Caller, Depends(allowed(Role.WRITE))]
