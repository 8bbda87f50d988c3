"""The network for a table and how it is trained, by the number of its rows and columns."""

from dataclasses import dataclass

from ..callbacks import EarlyStopping, ReduceLROnPlateau
from ..fitting import automatic_batch
from ..hooks import Callback
from ..layers import Dense, Dropout, Input, Layer
from ..model import Sequential
from ..optimizers import AdamW
from .target import BINARY, REGRESSION, Target

# units of the hidden layers, for fewer rows to train on than the number before them
SIZES = ((2_000, (64,)), (20_000, (64, 64)), (float("inf"), (128, 128)))
LOSSES = {
    REGRESSION: "mean_squared_error",
    BINARY: "binary_crossentropy",
}
MOST_EPOCHS = 500
# epochs without a better validation loss: until the learning rate is divided, and until the training ends
PATIENCE_OF_THE_RATE, PATIENCE = 10, 30
RATE, RATE_FACTOR, LOWEST_RATE = 2e-3, 0.3, 1e-5
# the share of hidden outputs that is dropped in training: docs/design.md, "Tables", has what it gained
DROPOUT = 0.25
# of weights in a step, times the learning rate
WEIGHT_DECAY = 1e-2


@dataclass(frozen=True)
class Settings:
    """How a network is made and trained."""

    hidden: tuple[int, ...]
    batch: int
    epochs: int
    stops_early: bool

    @property
    def callbacks(self) -> list[Callback]:
        """What ends a training, with the best weights."""
        if not self.stops_early:
            return []
        return [
            ReduceLROnPlateau("val_loss", factor=RATE_FACTOR, patience=PATIENCE_OF_THE_RATE, min_lr=LOWEST_RATE),
            EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True),
        ]


def choose(rows: int, hidden: tuple[int, ...] | None, epochs: int | None, *, stops_early: bool) -> Settings:
    """Return the settings for so many rows to train on; what is given goes first."""
    if hidden is None:
        hidden = next(units for most, units in SIZES if rows < most)
    return Settings(hidden, min(automatic_batch(rows), rows), epochs or MOST_EPOCHS, stops_early)


def make_network(width: int, target: Target, settings: Settings, seed: int) -> Sequential:
    """Return a compiled network from so many encoded numbers to a target."""
    last = {REGRESSION: "linear", BINARY: "sigmoid"}.get(target.task, "softmax")
    hidden: list[Layer] = []
    for units in settings.hidden:
        hidden += [Dense(units, activation="relu", kernel_initializer="he_uniform"), Dropout(DROPOUT)]
    network = Sequential([Input(shape=(width,)), *hidden, Dense(target.outputs, activation=last)], seed=seed)
    network.compile(AdamW(RATE, weight_decay=WEIGHT_DECAY), LOSSES.get(target.task, "sparse_categorical_crossentropy"))
    return network
