"""Scripts that the notebooks of browser tests run first: a scripted run, and its review."""

from __future__ import annotations

START = """
import os
from pathlib import Path
from scripted_run import *
from xtyl_nb.widget.widget import show
folder = Path(os.environ["LAB_FOLDER"])
images = [draw_image(folder / f"{c}.png", top=c, bottom="navy") for c in ("orange", "teal", "crimson")]
waiting = {"headline": node_overview(completed=2, text="Hello <b>you</b>"), "pick": node_overview(waiting=1, blocked=1)}
done = {id: node_overview(completed=2) for id in SUMMER}
plan = summer_plan()
run = ScriptedRun(
    plan,
    overview_of(plan, nodes=waiting, reviews=(review_of(images, edit=True),)),
    overview_of(plan, "completed", nodes=done),
)
show(run)
"""


REVIEWED = """
import os, threading
from dataclasses import replace
from pathlib import Path
from scripted_run import *
from xtyl_engine.errors import DecisionRefused
from xtyl_engine.queries.views import Decision
from xtyl_nb.widget.widget import RunWidget
folder = Path(os.environ["LAB_FOLDER"])
images = [draw_image(folder / f"{c}.png", top=c, bottom="navy") for c in ("orange", "teal", "crimson")]
def stands(*places, plan=None, of="pick"):
    rows = tuple(review_of(images, node=of, edit=True, item=str(row), label=f"Lamp {row}") for row in places)
    nodes = {of: node_overview(waiting=len(places), completed=3 - len(places))}
    return overview_of(plan or summer_plan(), nodes=nodes, reviews=rows)
class Contested(ScriptedRun):
    # Ana decides at the moment of the click.
    def approve(self, node, **decision):
        self.step()
        raise DecisionRefused(f"{node} was already decided: approve by ana, choose=[1]", hint="The first decision stands.")
    def inspect(self, node, *, item):
        ana = Decision(action="approve", by="ana", time=STARTED + 4, choice=(1,))
        return replace(super().inspect(node, item="0"), decision=ana)
class Unheard(Contested):
    # The widget does not hear of it.
    def _changed(self, after, timeout):
        threading.Event().wait(timeout)
        return False
"""
