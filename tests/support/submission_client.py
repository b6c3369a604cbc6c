"""A process that submits an execution large enough to be written in steps, and can be made to die meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from plans import chain
from xtyl_engine.database.connection import Database
from xtyl_engine.failpoints import arm
from xtyl_engine.scheduler.submit import AT_ONCE, Row, Submission, submit

ROWS = AT_ONCE

if __name__ == "__main__":
    url, id, home = sys.argv[1:]
    arm(os.environ["XTYL_CRASH"], Path(home))
    rows = [Row(label=place, values={}) for place in range(ROWS)]
    submit(Database(url), Submission(id=id, plan=chain(2), rows=rows))
