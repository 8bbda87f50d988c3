"""What ``fit`` calls between epochs and steps, with Keras 3's names and meanings."""

from ..history import History
from ..hooks import Callback, LambdaCallback
from .backup_and_restore import BackupAndRestore
from .csv_logger import CSVLogger
from .diagnostics import Diagnostics
from .early_stopping import EarlyStopping
from .learning_rate import LearningRateScheduler, ReduceLROnPlateau
from .model_checkpoint import ModelCheckpoint
from .terminate_on_nan import TerminateOnNaN

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "Diagnostics",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]
