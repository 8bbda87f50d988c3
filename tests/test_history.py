import numpy as np

from fastmlp.history import History


def test_values_are_kept_by_name_in_order():
    history = History({"epochs": 2})
    history.append(0, {"loss": np.float32(0.5), "accuracy": 1})
    history.append(1, {"loss": 0.25, "accuracy": 0.75, "val_loss": 0.5})
    assert history.epoch == [0, 1]
    assert history.history == {"loss": [0.5, 0.25], "accuracy": [1.0, 0.75], "val_loss": [0.5]}
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert history.params == {"epochs": 2}


def test_parameters_are_a_copy():
    params = {"epochs": 2}
    history = History(params)
    params["epochs"] = 3
    assert history.params == {"epochs": 2}


def test_representation_is_short():
    history = History()
    assert repr(history) == "<History of 0 epochs>"
    history.append(0, {"loss": 1 / 3})
    assert repr(history) == "<History of 1 epoch: loss 0.3333>"
    for epoch in range(1, 1000):
        history.append(epoch, {"loss": 0.5, "accuracy": 0.75})
    assert repr(history) == "<History of 1000 epochs: loss 0.5, accuracy 0.75>"
