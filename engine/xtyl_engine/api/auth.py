"""Authentication: a bearer token, and its role, checked before a route reads anything else of a request. Its project is checked
by `scoped_queries` for reads and by `service` for the rest; the rules for tokens themselves are in `tokens`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from xtyl_engine.api.bounded import BoundedProcesses
from xtyl_engine.api.problems import RequestRefused
from xtyl_engine.api.service import Service
from xtyl_engine.api.streaming.broadcaster import Broadcaster
from xtyl_engine.api.thread_pools import ThreadPools
from xtyl_engine.api.tokens import Role, Token, TokenFile
from xtyl_engine.telemetry.prometheus import ApiMetrics

log = logging.getLogger("xtyl")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="xtyl"'}
MAX_TOKEN = 200
_bearer = HTTPBearer(auto_error=False, description="Make one with `xtyl token create NAME --role read --project P`.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """Everything that the routes use, made once for an app."""

    service: Service
    tokens: TokenFile
    pools: ThreadPools
    bounded: BoundedProcesses
    hub: Broadcaster
    metrics: ApiMetrics | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The caller of a route. `scope` is the one project that the token is for, None for all; `still_valid` tells an open stream
    whether the token is still valid."""

    token: Token
    still_valid: Callable[[], bool]

    @property
    def scope(self) -> str | None:
        return self.token.project

    def signed(self, by: str | None) -> str:
        """The name that is stored with a decision."""
        return f"{by} ({self.token.name})" if by else self.token.name

    def note(self, action: str, what: str) -> None:
        """Log which token did what: a line for each request that writes."""
        log.info("%s by %s: %s", action, self.token.name, what)


def app_state(request: Request) -> AppState:
    """The parts of this app."""
    found: AppState = request.app.state.ours
    return found


def unauthorized(said: str) -> RequestRefused:
    """The error for a request without a valid token."""
    return RequestRefused(
        said,
        status=401,
        code="api/unauthorized",
        hint="Send `Authorization: Bearer <token>`; make a token with `xtyl token create`.",
        headers=CHALLENGE,
    )


def allowed(role: Role) -> Callable[..., Awaitable[Caller]]:
    """The caller of a route that requires at least this role. Raises RequestRefused with 401 or 403."""

    async def check(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Caller:
        tokens = app_state(request).tokens
        token = None if given is None or len(given.credentials) > MAX_TOKEN else tokens.find(given.credentials)
        if token is None:
            raise unauthorized("the token is invalid, expired or revoked" if given else "there is no token")
        if not token.role.includes(role):
            raise RequestRefused(
                f"the token {token.name!r} has the role {token.role}, and this requires {role}",
                status=403,
                code="api/forbidden",
                hint=f"Make one with `xtyl token create NAME --role {role}`.",
            )
        return Caller(token=token, still_valid=lambda: tokens.is_valid(token))

    return check


State = Annotated[AppState, Depends(app_state)]
Reader = Annotated[Caller, Depends(allowed(Role.READ))]
Reviewer = Annotated[Caller, Depends(allowed(Role.REVIEW))]
Writer = Annotated[Caller, Depends(allowed(Role.WRITE))]
