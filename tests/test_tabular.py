"""Tables as numbers and back: each kind of column, the target, scores, and files of anybody's making."""

import datetime
import json
import math

import numpy as np
import pytest

from fastmlp import load_model
from fastmlp.errors import ModelFileError, TableError
from fastmlp.saving.container import pack, read_file, unpack

pl = pytest.importorskip("polars")
from fastmlp import tabular  # noqa: E402
from fastmlp.tabular import cells, kinds  # noqa: E402
from fastmlp.tabular.columns import Boolean, Category, Date, Number, column_from_document  # noqa: E402
from fastmlp.tabular.scaling import FARTHEST, Scaling  # noqa: E402
from fastmlp.tabular.scores import _area  # noqa: E402
from fastmlp.tabular.target import find_target  # noqa: E402


def series(*values):
    return pl.Series("c", values, strict=False)


def encoded(column, values):
    notes = []
    numbers = column.encode(column.read(values), notes)
    again = column_from_document(json.loads(json.dumps(column.document())))
    assert again == column
    assert numbers.shape == (len(values), column.width)
    return numbers, notes


def test_numbers_are_standardised_and_the_median_stands_in():
    column = Number.learn("c", series(1.0, 2.0, None, 6.0))
    numbers, notes = encoded(column, series(2.0, None, 100.0))
    known = np.array([1.0, 2.0, 6.0])
    expected = (np.array([2.0, 2.0, 100.0]) - known.mean()) / known.std()
    np.testing.assert_allclose(numbers[:, 0], np.minimum(expected, FARTHEST))
    assert numbers[:, 1].tolist() == [0, 1, 0]
    assert notes == ["column 'c': 1 cell far outside of what training has seen (1 to 6)"]


def test_a_missing_number_that_training_had_none_of_is_said():
    numbers, notes = encoded(Number.learn("c", series(1.0, 3.0)), series(None, 3.0))
    assert numbers[:, 0].tolist() == [0, 1]
    assert notes == ["column 'c': 1 cell missing, as none was in training; taken as the median"]


def test_a_long_tail_is_shortened():
    values = np.exp(np.random.default_rng(0).normal(0, 2, 500))
    scaling = Scaling.of(values)
    assert scaling.tail == np.median(values)
    shaped = np.arcsinh(values / scaling.tail)
    np.testing.assert_allclose(scaling.apply(values), (shaped - shaped.mean()) / shaped.std())
    assert Scaling.of(np.random.default_rng(0).normal(0, 2, 500)).tail is None


@pytest.mark.parametrize("values", [[5.0, 5.0], [1e300, -1e300, 0], [1e-300, 2e-300], [0.1 + 0.2, 0.3], [0.0]])
def test_scales_of_any_size_are_finite(values):
    scaled = Scaling.of(np.array(values)).apply(np.array(values))
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() < 2


def test_categories_with_rare_and_unseen_ones():
    column = Category.learn("c", series(*"aaabbbcd", None), least=2)
    assert (column.values, column.rare) == (["a", "b"], 2)
    numbers, notes = encoded(column, series("a", "c", "new", None))
    assert numbers.tolist() == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert notes == ["column 'c': 2 cells with rare or unseen categories ('c', 'new'); taken as 'other'"]


def test_an_unseen_category_is_the_average_where_none_was_rare():
    numbers, notes = encoded(Category.learn("c", series(*"aaab"), least=1), series("b", "new", None))
    assert numbers.tolist() == [[0, 1], [0.75, 0.25], [0.75, 0.25]]
    assert len(notes) == 2


def test_many_categories_are_limited_to_the_most_frequent():
    texts = [f"v{k}" for k in range(300) for _ in range(2 + (k < 5))]
    column = Category.learn("c", series(*texts), least=2)
    assert len(column.values) == 100
    assert {f"v{k}" for k in range(5)} <= set(column.values)
    assert column.rare == 200


def test_booleans():
    assert encoded(Boolean("c", False), series("Yes", "n", "TRUE"))[0][:, 0].tolist() == [1, -1, 1]
    assert encoded(Boolean("c", True), series(True, None, False))[0].tolist() == [[1, 0], [0, 1], [-1, 0]]
    with pytest.raises(TableError, match="row 2 has 'maybe'"):
        Boolean("c", False).read(series("yes", "maybe"))


def test_dates_are_days_and_cycles():
    texts = series("2024-01-31", "2024-07-01", None)
    form = cells.date_format(texts)
    column = Date.learn("c", cells.dates(texts, form), form)
    assert column.cycles == ["month", "weekday"]
    numbers, _ = encoded(column, series("2024-07-01", None, "2024-01-31"))
    weekday = datetime.date(2024, 7, 1).isoweekday()
    angles = 2 * math.pi * 7 / 12, 2 * math.pi * weekday / 7
    expected = [1, *(f(angle) for angle in angles for f in (math.sin, math.cos)), 0]
    np.testing.assert_allclose(numbers[0], expected, atol=1e-12)
    assert numbers[1].tolist() == [0, 0, 0, 0, 0, 1]
    # of other types and formats, where the file says nothing else
    typed = pl.Series("c", [datetime.datetime(2024, 7, 1), None, datetime.datetime(2024, 1, 31)])
    assert (encoded(column, typed)[0] == numbers).all()


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2024-02-01", (2024, 2, 1)), ("2024/02/01", (2024, 2, 1)), ("01.02.2024", (2024, 2, 1)),
        ("2/1/2024", (2024, 2, 1)), ("13/1/2024", (2024, 1, 13)), ("2024-02-01T10:30:00Z", (2024, 2, 1, 10, 30)),
        ("2024-02-01 10:30", (2024, 2, 1, 10, 30)), ("2024-02-01T10:30:15.5+02:00", (2024, 2, 1, 8, 30, 15, 500000)),
    ],
)  # fmt: skip
def test_formats_of_dates(text, day):
    found = cells.dates(series(text), cells.date_format(series(text)))
    assert found.to_list() == [datetime.datetime(*day)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2", "2.5"] * 5, "number"),
        ([3, 1, 2] * 5, "number"),
        (["1e3", None, "-2"] * 5, "number"),
        (["x", "y", "1"] * 5, "category"),
        (["yes", "no", None] * 5, "boolean"),
        ([True, False, True] * 5, "boolean"),
        (["2024-01-01", "2024-01-02", None] * 5, "date"),
        (["1.2.3.4", "10.0.0.1", "10.0.0.1"] * 5, "category"),
        (list(range(1, 16)), "drop"),
        (list(range(1900, 1915)), "number"),
        ([f"text {k}" for k in range(15)], "drop"),
        ([f"the {k // 2} words of a sentence" for k in range(15)], "drop"),
        ([None] * 15, "drop"),
        (["same"] * 15, "drop"),
        (["same", None, "same"] * 5, "category"),
        ([[1, 2]] * 15, "drop"),
    ],
)  # fmt: skip
def test_what_a_column_is(values, kind):
    assert kinds.kind_of(series(*values), 15).kind == kind


def test_an_identifier_by_its_name():
    numbers = pl.Series("customer_id", np.random.default_rng(0).permutation(1000)[:50])
    assert kinds.kind_of(numbers, 50).kind == "drop"
    assert kinds.kind_of(numbers.alias("width"), 50).kind == "number"


@pytest.mark.parametrize(
    ("values", "task", "type_"),
    [
        (["u", "v"] * 10, "binary", "text"),
        (["0", "1"] * 10, "binary", "integer"),
        (["00", "01"] * 10, "binary", "text"),
        ([0.0, 1.0] * 10, "binary", "integer"),
        ([True, False] * 10, "binary", "boolean"),
        (["u", "v", "w"] * 10, "multiclass", "text"),
        ([1, 2, 10] * 10, "multiclass", "integer"),
        ([1, 2, 10], "regression", "number"),
        ([1.5, 2, 10] * 10, "regression", "number"),
        (list(range(30)) * 10, "regression", "number"),
    ],
)
def test_what_there_is_to_learn(values, task, type_):
    target, _ = find_target(series(*values), "auto")
    assert (target.task, target.type) == (task, type_)
    if type_ == "integer":
        assert target.classes == sorted(target.classes, key=int)
    if task != "regression":
        outputs = np.eye(len(target.classes), dtype=np.float32)
        got = target.values(outputs if task == "multiclass" else outputs[:, 1:])
        assert sorted(map(str, got)) == sorted({str(value) for value in pl.Series(values).cast(got.dtype)})


def table(rows=40, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=rows)
    return pl.DataFrame(
        {"x": x, "group": np.where(generator.random(rows) < 0.5, "left", "right"), "y": np.where(x > 0, "high", "low")}
    )


def quick(frame=None, target="y", **options):
    frame = table() if frame is None else frame
    return tabular.train(frame, target, **{"epochs": 3, "hidden": [4], "verbose": 0} | options)


def test_the_python_functions(tmp_path):
    frame = table()
    model = quick(frame)
    assert repr(model) == "<TabularModel: binary of 'y' from 2 columns>"
    values, probabilities = model.predict(frame), model.predict_probabilities(frame)
    assert values.name == "y"
    assert probabilities.columns == ["high", "low"]
    assert (values == "low").to_list() == (probabilities["low"] > probabilities["high"]).to_list()
    assert model.predict(frame.to_dict()).equals(values)
    scores = model.score(frame)
    assert scores.model["accuracy"] == (values == frame["y"]).mean()
    assert {decision.subject for decision in model.decisions} >= {"Task", "Rows", "Network", "x", "group"}
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(FileExistsError):
        model.save(tmp_path / "m.safetensors", overwrite=False)
    again = tabular.TabularModel.load(tmp_path / "m.safetensors")
    assert again.predict(frame).equals(values)
    assert load_model(tmp_path / "m.safetensors").predict(model.encode(frame)).shape == (40, 1)
    with pytest.warns(tabular.TabularWarning, match="'up'"):
        model.predict({"x": [0.0], "group": ["up"]})
    with pytest.raises(TableError, match="has no column 'group'"):
        model.predict({"x": [0.0]})
    with pytest.raises(TypeError, match="or a dict of columns, got list"):
        model.predict([1, 2])
    with pytest.raises(TableError, match="has in row 1 the class 'up'"):
        model.score(frame.with_columns(y=pl.lit("up")))


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    frame = table(60)
    model = quick(frame)
    true = (frame["y"] == "low").to_numpy()
    chance = model.predict_probabilities(frame)["low"].to_numpy()
    scores = model.score(frame)
    found = scores.model
    assert found["accuracy"] == metrics.accuracy_score(true, chance > 0.5)
    assert found["balanced accuracy"] == pytest.approx(metrics.balanced_accuracy_score(true, chance > 0.5))
    assert found["log loss"] == pytest.approx(metrics.log_loss(true, chance), rel=1e-5)
    assert found["ROC AUC"] == pytest.approx(metrics.roc_auc_score(true, chance))
    one = metrics.precision_recall_fscore_support(true, chance > 0.5, zero_division=np.nan)
    np.testing.assert_allclose([row[1:] for row in scores.classes], np.transpose(one))
    tied = np.round(chance, 2)
    assert _area(true, tied) == pytest.approx(metrics.roc_auc_score(true, tied))
    model = quick(frame, "x")
    found, predicted = model.score(frame).model, model.predict(frame)
    assert found["R2"] == pytest.approx(metrics.r2_score(frame["x"], predicted))
    assert found["RMSE"] == pytest.approx(metrics.root_mean_squared_error(frame["x"], predicted))
    assert found["MAE"] == pytest.approx(metrics.mean_absolute_error(frame["x"], predicted))
    with pytest.raises(TableError, match="no probabilities"):
        model.predict_probabilities(frame)


def test_every_class_is_validated():
    frame = pl.DataFrame({"x": np.arange(50) / 7, "y": ["a"] * 40 + ["b"] * 9 + ["c"]})
    scores = quick(frame).scores
    assert [row[4] for row in scores.classes] == [8, 2, 0]
    assert quick(frame, validation=0.0).scores is None


def test_rare_classes_and_balance_are_said(capsys):
    frame = pl.DataFrame({"x": np.arange(100) / 7, "y": ["a"] * 96 + ["b"] * 4})
    quick(frame, verbose=1)
    assert "class 'b' has 3.8% of the rows" in " ".join(capsys.readouterr().out.split())
    quick(frame, verbose=1, balance=True)
    assert "all classes count alike" in capsys.readouterr().out


@pytest.mark.jit_only
def test_it_learns():
    generator = np.random.default_rng(0)
    x, group = generator.normal(size=600), generator.choice(["a", "b", "c"], 600)
    y = 50 + 20 * x + np.select([group == "a", group == "b"], [30, -30], 0)
    model = tabular.train({"x": x, "group": group, "y": y}, "y", verbose=0)
    assert model.scores.model["R2"] > 0.98
    late = tabular.train({"x": x, "group": group, "late": (y > 60).tolist()}, "late", verbose=0)
    assert late.scores.model["accuracy"] > 0.93
    assert late.predict({"x": [2.0, -2.0], "group": ["a", "b"]}).to_list() == [True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "binry"}, "did you mean 'binary'"),
        ({"missing": "drop"}, "impute, refuse"),
        ({"kinds": {"x": "numbr"}}, "did you mean 'number'"),
        ({"validation": 1.0}, "validation must be a number from 0 to 0.9"),
        ({"hidden": [0]}, "hidden must be a positive integer"),
        ({"epochs": 0}, "epochs must be a positive integer"),
        ({"verbose": 3}, "verbose must be"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        quick(**options)


def changed(document, path, value):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["version"], 2),
        (["version"], [1]),
        (["target"], None),
        (["target", "task"], ["binary"]),
        (["target", "task"], "regression"),
        (["target", "task"], "multiclass"),
        (["target", "classes"], ["a"]),
        (["target", "classes"], ["a", "a"]),
        (["target", "classes"], [["a"], 1]),
        (["target", "name"], "x"),
        (["target", "type"], "integer"),
        (["target", "scaling", "scale"], 0),
        (["target", "scaling", "scale"], "1"),
        (["columns"], []),
        (["columns"], 5),
        (["columns", 0], {}),
        (["columns", 0, "kind"], "__import__"),
        (["columns", 0, "kind"], []),
        (["columns", 0, "name"], ""),
        (["columns", 0, "scaling"], []),
        (["columns", 0, "median"], 10**400),
        (["columns", 0, "indicator"], 1),
        (["columns", 1, "values"], ["left"]),
        (["columns", 1, "values"], [1, 2]),
        (["columns", 1, "rare"], 10**30),
        (["columns", 1, "shares"], [0.5, math.pi]),
        (["shares"], [0.5]),
        (["shares"], ["0.5", 1]),
        (["refuses_missing"], "no"),
    ],
)
def test_hostile_files(tmp_path, path, value):
    file = tmp_path / "m.safetensors"
    quick().save(file)
    document, tensors = unpack(read_file(file), "it")
    changed(document["table"], path, value)
    file.write_bytes(b"".join(pack(document, tensors)))
    with pytest.raises(ModelFileError, match="columns"):
        tabular.TabularModel.load(file)
