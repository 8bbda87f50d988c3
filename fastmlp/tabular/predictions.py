"""What a model says about a table."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Predictions:
    """Predictions for the rows of a table, in their order.

    Attributes
    ----------
    values : polars.Series (n,)
        Classes as the training table has them, or numbers in the target's units.
    probabilities : polars.DataFrame (n, classes), or None
        A column for each class; None for a regression.
    notes : list of str
        What was odd about the table: categories that are new, missing cells, numbers outside of what training has seen.
    """

    values: pl.Series
    probabilities: pl.DataFrame | None
    notes: list[str]
