"""How a text that a limit on tokens cut is told: its job is completed and has a warning. What is stored is the word in which the
provider said so, in the job's output.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case

from xtyl_engine.database import statements as sql
from xtyl_engine.database.tables import jobs
from xtyl_engine.states import JobState

# In the JSON of an output; inside of a text its quotes are escaped.
CUT = '"finish":"length"'
CUT_WORDS = "The text was cut at max_tokens: raise it, or ask for a shorter one."
HAS_CUT: Any = jobs.c.output.contains(CUT)
# 1 for a job whose text is one that was cut.
IS_CUT: Any = case((and_(sql.job_in(JobState.COMPLETED), HAS_CUT), 1), else_=0)
