"""Models as files: what is in one (``state``), its bytes (``container``), and how they get to a disk (``durable``).

Nothing in a file is imported, evaluated or unpickled: what it names is looked up in the tables of ``fastmlp.configs``.
"""

from .model import load_model

__all__ = ["load_model"]
