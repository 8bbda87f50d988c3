"""The engine floor: a model as tables and flat buffers, and the compiled loops that interpret them."""
