"""Pictures of models, their training and their results, drawn by Matplotlib (the extra ``plot``).

Every function returns the axes that it drew on, takes axes of one's own as ``ax``, and shows and saves nothing:
a notebook shows a new figure by itself, a script calls ``matplotlib.pyplot.show()`` or ``savefig``.
"""

from .classes import confusion_matrix, decision_boundary
from .functions import activations
from .layers import weights
from .training import gradient_flow, history, learning_rates

__all__ = [
    "activations",
    "confusion_matrix",
    "decision_boundary",
    "gradient_flow",
    "history",
    "learning_rates",
    "weights",
]
