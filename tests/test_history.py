from html.parser import HTMLParser

import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential
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
    assert repr(history) == "<History of 1000 epochs (best: 1): loss 0.5, accuracy 0.75>"


def test_the_best_epoch_is_the_first_with_the_lowest_validation_loss():
    history = History()
    assert history.best_epoch is None
    for epoch, (loss, judged) in enumerate([(3, 5), (2, np.nan), (1, 4), (0.5, 4), (0, np.inf)]):
        history.append(epoch, {"loss": loss, "val_loss": judged})
    assert history.best_epoch == 2
    del history.history["val_loss"]
    assert history.best_epoch == 4
    history.history["loss"] = [1.0, np.nan]
    assert history.best_epoch == 3


def test_values_know_their_epochs():
    history = History()
    for epoch in range(4, 8):
        history.append(epoch, {"loss": 1.0, **({"val_loss": 1.0} if epoch % 3 == 0 else {})})
    assert history.epochs_of("loss") == [4, 5, 6, 7]
    assert history.epochs_of("val_loss") == [6]
    history.on_train_begin()
    history.append(0, {"loss": 1.0})
    assert history.epochs_of("loss") == [0]
    with pytest.raises(KeyError):
        history.epochs_of("val_loss")


def recorded():
    history = History()
    for epoch in range(8):
        values = {"loss": 10.0 - epoch, "val_loss": 1 + (epoch - 1) ** 2}
        history.append(epoch, values if epoch % 2 else {"loss": values["loss"]})
    return history


def test_print_shows_the_best_epoch_and_the_last_ones():
    assert str(recorded()).splitlines() == [
        "History of 8 epochs",
        "  epoch   loss  val_loss",
        "best: 2  9.000     1.000",
        "      4  7.000     5.000",
        "      5  6.000",
        "      6  5.000     17.00",
        "      7  4.000",
        "      8  3.000     37.00",
    ]
    assert str(History()) == "<History of 0 epochs>"
    empty = History()
    empty.append(0, {})
    assert str(empty).splitlines() == ["History of 1 epoch", "epoch", "    1"]


class Table(HTMLParser):
    """The cells of a table; fails where an element is not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.bold, self.caption = [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag in {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p"}
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
            self.bold.append("bold" in dict(attributes).get("style", ""))
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] == ["caption"]:
            self.caption += text
        elif self.open[-1:] in (["th"], ["td"]):
            self.rows[-1][-1] += text


def test_a_notebook_shows_the_same_table():
    history = recorded()
    table = Table(history._repr_html_())
    assert table.caption == "History of 8 epochs"
    assert [" ".join(filter(None, row)) for row in table.rows] == [
        " ".join(line.split()) for line in str(history).splitlines()[1:]
    ]
    assert table.bold == [False, True, False, False, False, False, False]
    assert Table(History()._repr_html_()).rows == []


def test_a_notebook_shows_the_layers_with_names_escaped():
    name = "<script>alert('&')</script>"
    layers = [Dense(3, activation="relu", name=name), Dense(1000)]
    model = Sequential([Input(shape=(2,)), *layers], name=name, seed=0)
    text = model._repr_html_()
    assert "<script>" not in text
    table = Table(text)
    assert table.caption == f'Model: "{name}"'
    assert table.rows == [
        ["Layer (type)", "Output shape", "Parameters", "Activation"],
        [f"{name} (Dense)", "(None, 3)", "9", "relu"],
        ["dense (Dense)", "(None, 1000)", "4,000", "linear"],
        ["4,009 parameters"],
    ]
    assert Table(Sequential([Dense(3)])._repr_html_()).rows[1:] == [
        ["dense (Dense)", "(None, 3)", "?", "linear"], ["not built yet"]
    ]  # fmt: skip
    assert Table(Sequential()._repr_html_()).rows[-1] == ["not built yet"]
    history = History()
    history.append(0, {name: 1.0})
    assert Table(history._repr_html_()).rows[0] == ["epoch", name]
