"""CSVLogger: one line an epoch."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ..errors import check_flag
from ..hooks import Callback, Logs


class CSVLogger(Callback):
    """Write the epoch and its logs to a file; the first epoch decides about the columns.

    Parameters
    ----------
    filename : path
        The file.
    separator : str
        Between the values.
    append : bool
        Whether to go on with a file that exists, instead of replacing it.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self._file: TextIO | None = None
        if not isinstance(filename, (str, os.PathLike)):
            raise TypeError(f"filename must be a path, got {filename!r}")
        if not isinstance(separator, str) or len(separator) != 1 or separator in '\r\n"':
            raise ValueError(f"separator must be a single character, no quote and no new line, got {separator!r}")
        self.filename, self.sep, self.append = os.fspath(filename), separator, check_flag("append", append)
        self.keys: list[str] | None = None
        self._writer: Any = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self._close()
        path = Path(self.filename)
        self._headed = self.append and path.exists() and path.stat().st_size > 0
        self.keys, self._writer = None, None
        self._file = path.open("a" if self.append else "w", newline="")

    def get_state(self) -> dict[str, Any]:
        """Return how long the file is."""
        return {"length": self._file.tell() if self._file is not None else 0}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """With ``append``, take lines off that were written after the state was kept."""
        if self.append and self._file is not None and self._file.tell() > state["length"]:
            self._file.truncate(state["length"])
            self._headed = state["length"] > 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if self._file is None:
            return
        if self._writer is None:
            self.keys = sorted(logs)
            self._writer = csv.DictWriter(
                self._file, ["epoch", *self.keys], delimiter=self.sep, restval="NA", extrasaction="ignore",
                lineterminator="\n",
            )  # fmt: skip
            if not self._headed:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **logs})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def __del__(self) -> None:
        self._close()
