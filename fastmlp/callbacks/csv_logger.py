"""CSVLogger: one line an epoch."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from ..errors import check_flag, check_text, check_whole
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

    first_rank_only = True

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
        # how much of the file is this training's, or was there before
        self._length = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self._close()
        self.keys, self._writer = None, None
        # open until the training ends
        self._file = Path(self.filename).open("a", newline="")  # noqa: SIM115
        # what is behind is of no use; it stays until the first epoch, since a training may go on from a backup
        self._length = self._file.tell() if self.append else 0

    def get_state(self) -> dict[str, Any]:
        """Return the columns, and how long the file is."""
        return {"keys": self.keys, "length": self._length}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; lines that were written after it was kept are taken off before the next one."""
        keys, length = state["keys"], check_whole("length", state["length"])
        if keys is not None:
            keys = [check_text("a key of the logs", key) for key in keys]
        self.keys, self._length, self._writer = keys, length, None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take off what is of no use."""
        self._begin()

    def _begin(self) -> None:
        if self._file is not None and self._writer is None and self._file.tell() > self._length:
            self._file.truncate(self._length)
            self._file.seek(self._length)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if self._file is None:
            return
        self._begin()
        if self._writer is None:
            if self.keys is None:
                self.keys = sorted(logs)
            self._writer = csv.DictWriter(
                self._file, ["epoch", *self.keys], delimiter=self.sep, restval="NA", extrasaction="ignore",
                lineterminator="\n",
            )  # fmt: skip
            if self._file.tell() == 0:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **logs})
        self._file.flush()
        self._length = self._file.tell()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._begin()
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def __del__(self) -> None:
        self._close()
