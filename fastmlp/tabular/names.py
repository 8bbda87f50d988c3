"""Names of columns in messages."""

import difflib
from collections.abc import Iterable, Sequence

from ..errors import TableError

# names that a message lists, at most
MOST_LISTED = 8


def listed(names: Iterable[str], most: int = MOST_LISTED) -> str:
    """Return names in a row, of which the last ones are counted alone if there are many."""
    names = list(names)
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def check_columns(wanted: Iterable[str], columns: Sequence[str], where: str) -> None:
    """Raise TableError for the first name that is no column, with the nearest ones that are."""
    by_case = {column.casefold(): column for column in columns}
    for name in wanted:
        if name in columns:
            continue
        near = difflib.get_close_matches(name.casefold(), by_case, n=2, cutoff=0.6)
        hint = f": did you mean {' or '.join(repr(by_case[each]) for each in near)}?" if near else "."
        raise TableError(f"{where} has no column {name!r}{hint} Its columns are {listed(map(repr, columns))}")
