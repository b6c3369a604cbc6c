"""Compares the back end that left a record with the one that this process would start: settings of its worker, Python, release. A
run that is only looked at must not go on otherwise than it began, and one that is started must not be worked on by a release that
does not understand it.
"""

from __future__ import annotations

import os
import sys

import xtyl_engine
from xtyl_engine.database.head import HEAD
from xtyl_engine.embedded.state_file import PROTOCOL, Presence, SupervisorState
from xtyl_engine.errors import BackendStartError, WorkflowException
from xtyl_engine.settings import Settings


def other_settings(found: Presence, settings: Settings) -> dict[str, str]:
    """The variables that the recorded worker runs with and this process has otherwise, with the recorded values."""
    wanted = settings.to_worker()
    return {name: value for name, value in sorted(found.settings.items()) if wanted.get(name, value) != value}


def unlike(found: Presence, settings: Settings) -> str | None:
    """Why this process leaves the start of a back end that died to others, in words; None where it would start the same, or where
    nothing was left that could go on otherwise: it ended without work."""
    if found.state is SupervisorState.IDLE:
        return None
    wanted = settings.to_worker()
    theirs = {name: (value, wanted[name]) for name, value in other_settings(found, settings).items()}
    if _interpreter(found.python) != _interpreter(sys.executable):
        theirs["Python"] = (found.python, sys.executable)
    if found.version != xtyl_engine.__version__:
        theirs["xtyl"] = (found.version, xtyl_engine.__version__)
    if not theirs:
        return None
    words = ", ".join(f"{name}={former or 'unset'} (here {here or 'unset'})" for name, (former, here) in theirs.items())
    return f"the back end ended, and ran with {words}; `xtyl up` or the next run starts it with the settings of its process"


def is_to_be_replaced(found: Presence, settings: Settings) -> bool:
    """Whether a back end that runs is of another release and has nothing to do, so that this release may take its place. Raises
    BackendStartError where it is at work and does not understand this release."""
    if (found.version, found.schema, found.protocol) == (xtyl_engine.__version__, HEAD, PROTOCOL):
        return False
    if not _is_at_work(settings):
        return True
    if (found.schema, found.protocol) == (HEAD, PROTOCOL):
        return False
    theirs = f"xtyl {found.version} with {f'schema {found.schema}' if found.schema else 'an older schema'}"
    raise BackendStartError(
        f"the back end that runs in {settings.home} is of another release, {theirs}, and at work; this is xtyl "
        f"{xtyl_engine.__version__} with schema {HEAD}",
        hint="Wait until its runs are over and start this one again. Or end it with `xtyl down`: its runs go on with the back "
        "end that the next run starts, and nothing is lost.",
    )


def _is_at_work(settings: Settings) -> bool:
    from xtyl_engine.queries.executions import has_active_work

    try:
        return has_active_work(settings.database_url)
    except WorkflowException:
        # What cannot be read here, or has no tables yet, is worked on by no worker either.
        return False


def _interpreter(python: str) -> tuple[str, str]:
    """Its environment's folder and its program: `python` and `python3` of one environment are the same."""
    return os.path.realpath(os.path.dirname(python)), os.path.realpath(python)
