"""Tables of columns of any kind: from a CSV file to a network, and back to predictions; needs the extra ``cli``.

``python -m fastmlp train`` and ``predict`` are these functions. docs/command-line.md says what is decided, and why.
"""

try:
    import polars
except ImportError as error:
    raise ImportError('tables need the package polars: pip install "fastmlp[cli]"') from error

from .model import TabularModel, TabularWarning
from .predictions import Predictions
from .reading import Table, read_table
from .report import Decision
from .scores import Scores
from .training import train
from .writing import write_table

__all__ = [
    "Decision",
    "Predictions",
    "Scores",
    "Table",
    "TabularModel",
    "TabularWarning",
    "read_table",
    "train",
    "write_table",
]
del polars
