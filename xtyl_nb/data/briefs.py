"""Loads the shipped table of briefs: 24 invented products, for the demo, the notebooks and a first try."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def load_briefs(rows: int | None = None) -> pd.DataFrame:
    """Load the briefs of 24 invented products, for a first try.

    Args:
        rows: The number of briefs, from the first on; all by default.

    Returns:
        A DataFrame with `product`, `tone`, `audience` (text) and `price` (whole dollars).

    Example:
        >>> xt.load_briefs(2)
               product     tone       audience  price
        0  Aurora lamp  playful  night readers     89
        1    Tidal mug     calm  slow mornings     24
    """
    import pandas as pd

    with files("xtyl_nb").joinpath("data/briefs.csv").open(encoding="utf-8") as source:
        return pd.read_csv(source, nrows=rows)
