"""The weights of a layer."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import check_count
from .canvas import COLOURS, DIVERGING, several_axes, whole_numbers

MOST_TILES = 100


def weights(
    layer: Any, *, image_shape: tuple[int, int] | None = None, ax: Any = None
) -> "np.ndarray[Any, np.dtype[np.object_]]":
    """Draw a layer's kernel as a map whose white is 0, and the distribution of its numbers.

    Parameters
    ----------
    layer : Dense
        Whose kernel (K, N) is drawn.
    image_shape : (int, int), optional
        Height and width of the images that a first layer sees, with ``height * width = K``: its units are then drawn
        as such images, row by row (the first hundred, where there are more).
    ax : two matplotlib.axes.Axes, optional
        For the map and the distribution; a new figure by default.

    Returns
    -------
    ndarray of two matplotlib.axes.Axes

    Raises
    ------
    ValueError
        For a layer without a kernel, or an image shape that is not that of its inputs.
    NotBuiltError
        When the layer has no weights yet.
    """
    arrays = layer.get_weights()
    if not arrays or arrays[0].ndim != 2:
        raise ValueError(f"layer {layer.name!r} has no kernel to draw")
    kernel = arrays[0]
    picture = kernel if image_shape is None else tiles(kernel, image_shape)
    axes = several_axes(ax, 2, 2, (9.6, 4.2))
    limit = float(np.abs(kernel).max()) or 1.0
    image = axes[0].imshow(
        picture, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto" if image_shape is None else "equal",
        interpolation="nearest" if image_shape is not None or kernel.size < 10_000 else "antialiased",
    )  # fmt: skip
    axes[0].figure.colorbar(image, ax=axes[0], label="weight")
    if image_shape is None:
        axes[0].set(title=f"{layer.name}: kernel", xlabel="unit", ylabel="input")
        for axis in (axes[0].xaxis, axes[0].yaxis):
            whole_numbers(axis)
    else:
        shown = min(kernel.shape[1], MOST_TILES)
        some = f"{shown} units" if shown == kernel.shape[1] else f"{shown} of {kernel.shape[1]} units"
        axes[0].set(title=f"{layer.name}: {some} as images", xticks=[], yticks=[])
        axes[0].set_frame_on(False)
    axes[1].hist(kernel.ravel(), bins=min(80, max(10, int(kernel.size**0.5))), color=COLOURS[0])
    axes[1].axvline(0, color="grey", linewidth=1, linestyle=":")
    axes[1].set(
        title=f"mean {_plain(kernel.mean())}, deviation {_plain(kernel.std())}", xlabel="weight", ylabel="count"
    )
    return np.array(axes, object)


def _plain(value: Any) -> str:
    """Write a number with three digits, and with a minus that is no hyphen."""
    return f"{float(value):.3g}".replace("-", "\N{MINUS SIGN}")


def tiles(kernel: NDArray[np.float32], image_shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the columns of a kernel (K, N) as images beside and below each other, with NaN between them."""
    if not isinstance(image_shape, (tuple, list)) or len(image_shape) != 2:
        raise ValueError(f"image_shape must be (height, width), got {image_shape!r}")
    height, width = (check_count("image_shape", side) for side in image_shape)
    if height * width != len(kernel):
        raise ValueError(
            f"image_shape must have as many pixels as the layer has inputs, {len(kernel)}, got {image_shape}"
        )
    count = min(kernel.shape[1], MOST_TILES)
    across = int(np.ceil(np.sqrt(count * height / width)))
    down = -(-count // across)
    picture = np.full((down * (height + 1) - 1, across * (width + 1) - 1), np.nan, np.float32)
    for unit in range(count):
        top, left = unit // across * (height + 1), unit % across * (width + 1)
        picture[top : top + height, left : left + width] = kernel[:, unit].reshape(height, width)
    return picture
