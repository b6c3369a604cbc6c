"""The table of briefs that the project ships: 24 invented products, for the demo, the notebooks and a first try."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load_briefs(rows: int | None = None) -> pd.DataFrame:
    """The briefs: `product`, `tone`, `audience` (text) and `price` (whole dollars), the first `rows` of them or all 24."""
    import pandas as pd

    with files("xtyl_nb").joinpath("data/briefs.csv").open(encoding="utf-8") as source:
        return pd.read_csv(source, nrows=rows)
