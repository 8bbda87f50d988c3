"""The commands of ``python -m fastmlp`` that are more than a call: their arguments, and what they print."""
