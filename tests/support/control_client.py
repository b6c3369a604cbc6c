"""A process that applies one control to one execution, with its own connection, and can be made to die meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from engine_driver import Driver
from xtyl_engine.database.connection import Database
from xtyl_engine.failpoints import arm
from xtyl_engine.scheduler.control import Controls


def control(controls: Controls, verb: str, id: str) -> None:
    """`verb` is one of the controls; a review is called `pick`."""
    if verb == "approve":
        controls.approve(id, "pick", "0", choose=[1], by="ann")
    elif verb == "reject":
        controls.reject(id, "pick", "0", reason="none will do", by="ann")
    else:
        getattr(controls, verb)(id)


if __name__ == "__main__":
    url, id, verb, home = sys.argv[1:]
    arm(os.environ["XTYL_CRASH"], Path(home))
    control(Driver(Database(url)).controls, verb, id)
