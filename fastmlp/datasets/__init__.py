"""Data to try the library on: handwritten digits that come with it, and MNIST-style files from the disk."""

from .digits import load_digits
from .idx import load_idx, read_idx

__all__ = ["load_digits", "load_idx", "read_idx"]
