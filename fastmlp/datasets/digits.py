"""The 1797 handwritten digits that come with the package: small enough for examples and tests."""

from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Split = tuple[NDArray[np.float32], NDArray[np.int64]]


def load_digits() -> tuple[Split, Split]:
    """Load the handwritten digits, split into training and test data.

    Returns
    -------
    (x_train, y_train), (x_test, y_test) : tuple of tuples of ndarray
        Images of shape (1437, 64) and (360, 64), float32 in [0, 1]: 8 rows of 8 pixels, 0 is paper and 1 is
        ink (the source counts 0 to 16). Digits 0 to 9 of shape (1437,) and (360,), int64. New arrays at
        every call.

    Notes
    -----
    The split is the same for ever, for it is part of the file: scikit-learn 1.9's
    ``train_test_split(images, digits, test_size=360, stratify=digits, random_state=0)``. Each digit has the
    same share of both parts, give or take one image. The same writers are in both, so the accuracy on the
    test data says nothing about other hands.

    The source is the test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak
    (UCI Machine Learning Repository, 1998, doi 10.24432/C50P49), licensed CC BY 4.0: see DIGITS_LICENCE.md.
    """
    file = files(__package__).joinpath("digits.npz")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        parts = [arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    x_train, y_train, x_test, y_test = parts
    sixteenth = np.float32(1 / 16)
    return (
        (x_train * sixteenth, y_train.astype(np.int64)),
        (x_test * sixteenth, y_test.astype(np.int64)),
    )
