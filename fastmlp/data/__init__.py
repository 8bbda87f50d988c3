"""Data that are larger than memory: what ``fit``, ``evaluate`` and ``predict`` read while they work."""

from .source import Source

__all__ = ["Source"]
