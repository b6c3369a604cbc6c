"""The dry run: the number of jobs, the number of cached ones, and no work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

import xtyl_nb as xt
from workbench import Workbench, workbench

BRIEFS = pd.DataFrame({"name": ["a", "b", "c"]})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


def counts(flow: xt.Workflow, frame: pd.DataFrame) -> dict[str, tuple[object, object, object]]:
    """Jobs, cached, to run per node."""
    table = flow.plan(frame)
    return {str(node): (row["jobs"], row["cached"], row["to_run"]) for node, row in table.astype("object").iterrows()}


def test_a_plan_counts_and_runs_nothing(bench: Workbench) -> None:
    """Jobs per node follow from rows and items, and there is no run afterwards."""
    flow = xt.Workflow("plan").generate_copy("line", prompt="{{ name }}", n=2).attach("kit", title="{{ line }}")
    assert counts(flow, BRIEFS) == {"line": (6, 0, 6), "kit": (3, 0, 3)}
    assert xt.runs().empty


def test_what_the_plan_calls_cached_is_taken_from_the_cache(bench: Workbench) -> None:
    """The forecast and the run agree job by job, even where only some rows are known and for jobs behind cached ones."""
    flow = (
        xt.Workflow("half")
        .generate_copy("line", prompt="{{ name }}", n=2)
        .generate_image("poster", prompt="{{ line.text }}", size="64x64", over="line")
    )
    bench.done(flow, BRIEFS.head(2))
    assert counts(flow, BRIEFS) == {"line": (6, 4, 2), "poster": (6, 4, 2)}
    jobs = bench.done(flow, BRIEFS).jobs()
    assert dict(jobs.groupby("node")["cached"].sum()) == {"line": 4, "poster": 4}
    assert counts(flow, BRIEFS) == {"line": (6, 6, 0), "poster": (6, 6, 0)}


def test_cache_false_is_never_cached(bench: Workbench) -> None:
    """A node that takes no cached results is always to run."""
    flow = xt.Workflow("fresh").generate_copy("line", prompt="{{ name }}", cache=False)
    bench.done(flow, BRIEFS)
    assert counts(flow, BRIEFS) == {"line": (3, 0, 3)}


def test_functions_are_counted_by_their_code(bench: Workbench) -> None:
    """A function with `cache=True` is cached for the arguments it had, and so is what reads it; another code is not."""

    def louder(text: str, by: int = 1) -> str:
        return text.upper() + "!" * by

    def loud(function: Callable[..., str]) -> xt.Workflow:
        flow = xt.Workflow("loud").call("loud", function, text="{{ name }}", cache=True, depends=["pandas"])
        return flow.generate_copy("line", prompt="{{ loud }}")

    bench.done(loud(louder), BRIEFS.head(2))
    assert counts(loud(louder), BRIEFS) == {"loud": (3, 2, 1), "line": (3, 2, 1)}
    assert counts(loud(lambda text: text * 2), BRIEFS) == {"loud": (3, 0, 3), "line": (3, 0, 3)}
    assert counts(loud(louder).call("last", louder, text="{{ line }}"), BRIEFS)["last"] == (3, 0, 3)


def test_lists_of_unknown_length_are_not_guessed(bench: Workbench) -> None:
    """Nodes over a list that a function makes have no number before it runs."""
    flow = xt.Workflow("unknown").call("made", lambda: [1, 2]).generate_copy("line", prompt="{{ made }}", over="made")
    table = flow.plan(BRIEFS)
    assert table["jobs"]["made"] == 3
    assert table["jobs"].isna()["line"]
    assert table["to_run"].isna()["line"]


def test_an_empty_table_has_no_jobs(bench: Workbench) -> None:
    """No rows, no jobs, no error, and a warning that says so."""
    flow = xt.Workflow("empty").generate_copy("line", prompt="{{ name }}")
    with pytest.warns(UserWarning, match="The table has no rows"):
        assert counts(flow, BRIEFS.head(0)) == {"line": (0, 0, 0)}
