import numpy as np
import pytest

from fastmlp import (
    Dense,
    Input,
    Sequential,
    activations,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from fastmlp.errors import NotBuiltError, NotCompiledError

ROWS = 6
X = np.arange(ROWS * 3, dtype=np.float64).reshape(ROWS, 3) / 10
Y = np.arange(ROWS * 2, dtype=np.float64).reshape(ROWS, 2) / 10
CLASSES = np.arange(ROWS) % 2
NAN, INF = float("nan"), float("inf")


def network(units=2, last=None, loss="mse", **options):
    model = Sequential([Input(shape=(3,)), Dense(4, activation="tanh"), Dense(units, activation=last)])
    model.compile(optimizer="sgd", loss=loss, **options)
    return model


def changed(array, value, at=(1, 1)):
    array = np.array(array, dtype=np.float64)
    array[at] = value
    return array


def bits(model):
    return [weight.tobytes() for weight in model.get_weights()]


def refuses(model, exception, words, call):
    """The call raises, names every word, and leaves the weights as they are."""
    before = bits(model)
    with pytest.raises(exception) as caught:
        call(model)
    assert type(caught.value) is exception
    message = str(caught.value)
    for word in words.split("|"):
        assert word in message
    assert bits(model) == before


# --- features ---------------------------------------------------------------------------------------------

BAD_X = {
    "too_many_features": (np.ones((ROWS, 4)), ValueError, "x |3 features|4"),
    "too_few_features": (np.ones((ROWS, 2)), ValueError, "x |3 features|2"),
    "no_features": (np.ones((ROWS, 0)), ValueError, "x |feature"),
    "flat": (np.ones(ROWS), ValueError, "x |(6,)|reshape"),
    "cube": (np.ones((ROWS, 3, 1)), ValueError, "x |(6, 3, 1)"),
    "number": (1.0, ValueError, "x |()"),
    "empty_list": ([], ValueError, "x |empty"),
    "none": (None, TypeError, "x |got None"),
    "masked": (np.ma.masked_greater(X, 1), ValueError, "x |masked"),
    "nan": (changed(X, NAN), ValueError, "x |nan|(1, 1)|impute such rows"),
    "infinite": (changed(X, INF, (4, 2)), ValueError, "x |inf|(4, 2)"),
    "minus_infinite": (changed(X, -INF, (0, 0)), ValueError, "x |-inf|(0, 0)"),
    "nan_float32": (changed(X, NAN).astype(np.float32), ValueError, "x |nan|(1, 1)"),
    "nan_float16": (changed(X, NAN).astype(np.float16), ValueError, "x |nan|(1, 1)"),
    "too_big": (changed(X, 1e39), ValueError, "x |float32|1e+39|(1, 1)|scale"),
    "objects": (X.astype(object), TypeError, "x |object"),
    "texts": (X.astype(str), TypeError, "x |<U|np.unique(x"),
    "complex": (X.astype(complex), TypeError, "x |complex128"),
    "dates": (X.astype("datetime64[s]"), TypeError, "x |datetime64"),
    "ragged": ([[1.0, 2.0, 3.0], [4.0]], ValueError, "x "),
}


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
@pytest.mark.parametrize("case", BAD_X)
def test_bad_x(case, method):
    x, exception, words = BAD_X[case]
    targets = () if method == "predict" else (Y,)
    refuses(network(), exception, words, lambda model: getattr(model, method)(x, *targets))


@pytest.mark.parametrize("case", [case for case in BAD_X if case != "empty_list"])
def test_bad_x_for_validation(case):
    x, exception, words = BAD_X[case]
    refuses(
        network(),
        exception,
        f"validation_data|{words}",
        lambda model: model.fit(X, Y, validation_data=(x, Y)),
    )


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_no_rows(method):
    nothing = np.empty((0, 3)), np.empty((0, 2))
    refuses(network(), ValueError, "x |at least one row", lambda model: getattr(model, method)(*nothing))


def test_bad_x_does_not_build_a_lazy_model():
    model = Sequential([Dense(2)])
    model.compile(loss="mse")
    for x in (changed(X, NAN), np.ones(ROWS), X.astype(object)):
        with pytest.raises((ValueError, TypeError), match="x "):
            model.fit(x, Y)
    with pytest.raises(ValueError, match="y "):
        model.fit(X, Y[:3])
    assert not model.built


# --- targets ----------------------------------------------------------------------------------------------

BAD_Y = {
    "too_many_rows": ("mse", np.ones((ROWS + 1, 2)), ValueError, "y |rows|6|7"),
    "too_few_rows": ("mse", np.ones((ROWS - 1, 2)), ValueError, "y |rows|6|5"),
    "number": ("mse", 1.0, ValueError, "y |number"),
    "flat": ("mse", np.ones(ROWS), ValueError, "y |(6, 2)|(6,)"),
    "too_wide": ("mse", np.ones((ROWS, 3)), ValueError, "y |(6, 2)|(6, 3)"),
    "one_column": ("mse", np.ones((ROWS, 1)), ValueError, "y |(6, 2)|(6, 1)"),
    "cube": ("mse", np.ones((ROWS, 2, 1)), ValueError, "y |(6, 2)|(6, 2, 1)"),
    "none": ("mse", None, TypeError, "y |got None"),
    "masked": ("mse", np.ma.masked_greater(Y, 1), ValueError, "y |masked"),
    "nan": ("mse", changed(Y, NAN), ValueError, "y |nan|(1, 1)"),
    "infinite": ("mse", changed(Y, INF), ValueError, "y |inf|(1, 1)"),
    "too_big": ("mse", changed(Y, -1e39), ValueError, "y |float32|-1e+39"),
    "objects": ("mse", Y.astype(object), TypeError, "y |object"),
    "texts": ("sparse_categorical_crossentropy", ["a"] * ROWS, TypeError, "y |<U1|np.unique(y"),
    "complex": ("mse", Y.astype(complex), TypeError, "y |complex"),
    "ragged": ("mse", [[1.0, 2.0], [3.0]] * 3, ValueError, "y "),
    "class_too_large": ("sparse_categorical_crossentropy", CLASSES + 1, ValueError, "y |0 to 1|2"),
    "class_negative": ("sparse_categorical_crossentropy", CLASSES - 1, ValueError, "y |0 to 1|-1"),
    "class_broken": ("sparse_categorical_crossentropy", CLASSES + 0.5, ValueError, "y |whole|0.5"),
    "class_nan": ("sparse_categorical_crossentropy", [0, 1, NAN, 0, 1, 0], ValueError, "y |nan"),
    "classes_one_hot": (
        "sparse_categorical_crossentropy",
        np.eye(2)[CLASSES],
        ValueError,
        "y |class numbers|(6, 2)",
    ),
    "one_hot_classes": ("categorical_crossentropy", CLASSES, ValueError, "y |(6, 2)|(6,)"),
    "one_hot_too_large": ("categorical_crossentropy", 2 * np.eye(2)[CLASSES], ValueError, "y |[0, 1]|2"),
    "probability_above_1": ("binary_crossentropy", changed(0 * Y, 1.5), ValueError, "y |[0, 1]|1.5"),
    "probability_below_0": ("binary_crossentropy", changed(0 * Y, -1), ValueError, "y |[0, 1]|-1"),
    "count_negative": ("poisson", changed(0 * Y, -1), ValueError, "y |at least 0|-1"),
}


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize("case", BAD_Y)
def test_bad_y(case, method):
    loss, y, exception, words = BAD_Y[case]
    refuses(network(loss=loss), exception, words, lambda model: getattr(model, method)(X, y))


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_y_for_validation(case):
    loss, y, exception, words = BAD_Y[case]
    good = CLASSES if loss.startswith("sparse") else np.eye(2)[CLASSES]
    refuses(
        network(loss=loss),
        exception,
        f"validation_data|{words}",
        lambda model: model.fit(X, good, validation_data=(X, y)),
    )


# --- sample weights ---------------------------------------------------------------------------------------

BAD_WEIGHTS = {
    "too_short": (np.ones(ROWS - 1), ValueError, "(6,)|(5,)"),
    "matrix": (np.ones((ROWS, 2)), ValueError, "(6,)|(6, 2)"),
    "number": (1.0, ValueError, "(6,)|()"),
    "negative": ([1, 1, -1, 1, 1, 1], ValueError, "negative|-1"),
    "nan": ([1, 1, NAN, 1, 1, 1], ValueError, "nan"),
    "infinite": ([1, 1, INF, 1, 1, 1], ValueError, "inf"),
    "texts": (["1"] * ROWS, TypeError, "<U1"),
    "objects": (np.ones(ROWS, object), TypeError, "object"),
    "class_weights": ({0: 1.0, 1: 2.0}, TypeError, "array|{0: 1.0, 1: 2.0}"),
}


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_sample_weight(case, method):
    weights, exception, words = BAD_WEIGHTS[case]
    refuses(
        network(),
        exception,
        f"sample_weight|{words}",
        lambda model: getattr(model, method)(X, Y, sample_weight=weights),
    )


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_sample_weight_for_validation(case):
    weights, exception, words = BAD_WEIGHTS[case]
    refuses(
        network(),
        exception,
        f"validation_data|sample_weight|{words}",
        lambda model: model.fit(X, Y, validation_data=(X, Y, weights)),
    )


# --- other arguments of fit, evaluate and predict ---------------------------------------------------------

COUNTS = [0, -1, 2.5, "3", True, NAN]


@pytest.mark.parametrize("value", COUNTS)
def test_bad_batch_size(value):
    for call in (
        lambda model: model.fit(X, Y, batch_size=value),
        lambda model: model.evaluate(X, Y, batch_size=value),
        lambda model: model.predict(X, batch_size=value),
    ):
        refuses(network(), ValueError, f"batch_size|{value!r}", call)


@pytest.mark.parametrize("value", [*COUNTS, None])
def test_bad_epochs(value):
    refuses(network(), ValueError, f"epochs|{value!r}", lambda model: model.fit(X, Y, epochs=value))


@pytest.mark.parametrize("value", [1.0, -0.1, 1.5, NAN, True, 0.999])
def test_bad_validation_split(value):
    refuses(
        network(),
        ValueError,
        f"validation_split|{value}",
        lambda model: model.fit(X, Y, validation_split=value),
    )


@pytest.mark.parametrize("value", ["batch", 1, None], ids=repr)
def test_bad_shuffle(value):
    refuses(network(), TypeError, f"shuffle must be True or False|{value!r}", lambda m: m.fit(X, Y, shuffle=value))


@pytest.mark.parametrize(
    ("order", "error", "text"),
    [
        (lambda rows: np.arange(rows - 1), ValueError, "the order that shuffle returns must be"),
        (lambda rows: np.arange(rows) - 1, ValueError, "shuffle returns must be indices from 0"),
        (lambda rows: np.arange(rows) + 1, ValueError, "shuffle returns must be indices from 0"),
        (lambda rows: np.arange(rows) * 1.0, ValueError, "dtype float64"),
        (lambda rows: None, TypeError, "the order that shuffle returns"),
    ],
)
def test_an_order_that_is_none(order, error, text):
    refuses(network(), error, text, lambda model: model.fit(X, Y, shuffle=order, verbose=0))


@pytest.mark.parametrize("value", ["0.1", None, [0.1]])
def test_a_validation_split_that_is_no_number(value):
    model = network()
    before = bits(model)
    with pytest.raises((TypeError, ValueError), match="validation_split"):
        model.fit(X, Y, validation_split=value)
    assert bits(model) == before


@pytest.mark.parametrize("value", [3, -1, "no", 1.5, None])
def test_bad_verbose(value):
    for call in (
        lambda model: model.fit(X, Y, verbose=value),
        lambda model: model.evaluate(X, Y, verbose=value),
        lambda model: model.predict(X, verbose=value),
    ):
        refuses(network(), ValueError, f"verbose|{value!r}", call)


@pytest.mark.parametrize("value", [X, (X,), (X, Y, None, None), "xy", 3])
def test_bad_validation_data(value):
    refuses(network(), ValueError, "validation_data", lambda model: model.fit(X, Y, validation_data=value))


def test_validation_data_without_rows():
    nothing = np.empty((0, 3)), np.empty((0, 2))
    refuses(network(), ValueError, "validation_data|row", lambda model: model.fit(X, Y, validation_data=nothing))


# --- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dense(2, activation="rleu"), "activation|'rleu'|relu"),
        (lambda: Dense(2, activation="Sigmoid"), "activation|'Sigmoid'|sigmoid"),
        (lambda: Dense(2, kernel_initializer="glorot_unifrom"), "initializer|glorot_uniform"),
        (lambda: Dense(2, bias_initializer="zeroes"), "initializer|zeros"),
        (lambda: Dense(2, kernel_regularizer="l3"), "regularizer|'l3'|l1|l2"),
        (lambda: Dense(2, bias_regularizer="l1l2"), "regularizer|l1_l2"),
        (lambda: network(loss="binary_crosentropy"), "loss|binary_crossentropy"),
        (lambda: network(loss="mes"), "loss|mse"),
        (lambda: network(metrics=["acuracy"]), "metric|accuracy"),
        (lambda: network(metrics=["mse", "huber"]), "metric|huber"),
        (lambda: Sequential([Dense(1)]).compile(optimizer="adm", loss="mse"), "optimizer|adam"),
        (lambda: Sequential([Dense(1)]).compile(optimizer="", loss="mse"), "optimizer|sgd|rmsprop"),
    ],
)
def test_an_unknown_name_is_answered_with_the_valid_ones(make, words):
    with pytest.raises(ValueError, match="unknown") as caught:
        make()
    for word in words.split("|"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Dense(2, activation=3), "activation"),
        (lambda: Dense(2, activation=np.tanh), "activation"),
        (lambda: Dense(2, kernel_initializer=None), "initializer"),
        (lambda: Dense(2, kernel_regularizer=0.01), "regularizer"),
        (lambda: Dense(2, name=3), "name"),
        (lambda: Dense(2, name=""), "name"),
        (lambda: network(loss=None), "loss"),
        (lambda: network(loss=max), "loss"),
        (lambda: network(loss=losses.Huber), "loss"),
        (lambda: network(metrics="accuracy"), "metrics"),
        (lambda: network(metrics={"accuracy"}), "metrics"),
        (lambda: network(metrics=[3]), "metrics"),
        (lambda: network(metrics=[["accuracy"]]), "metrics"),
        (lambda: Sequential([Dense(1)]).compile(optimizer=None, loss="mse"), "optimizer"),
        (lambda: Sequential([Dense(1)]).compile(optimizer=optimizers.Adam, loss="mse"), "optimizer"),
        (lambda: Sequential(["dense"]), "layers"),
        (lambda: Sequential([Dense]), "layers"),
        (lambda: Sequential([None]), "layers"),
    ],
)
def test_an_argument_of_another_type(make, word):
    with pytest.raises(TypeError, match=word):
        make()


def test_a_compile_that_fails_changes_nothing():
    model = network(metrics=["mae"])
    optimizer, loss = model.optimizer, model.loss
    for bad in ({"optimizer": "adm"}, {"loss": "mes"}, {"metrics": ["acuracy"]}, {"metrics": "mse"}):
        with pytest.raises((ValueError, TypeError)):
            model.compile(**{"optimizer": "adam", "loss": "huber", "metrics": ["mse"], **bad})
        assert model.optimizer is optimizer
        assert model.loss is loss
        assert list(model.evaluate(X, Y, return_dict=True)) == ["loss", "mae"]


# --- what does not go together ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "last", "y"),
    [
        (losses.BinaryCrossentropy(from_logits=True), "sigmoid", np.eye(2)[CLASSES]),
        (losses.CategoricalCrossentropy(from_logits=True), "softmax", np.eye(2)[CLASSES]),
        (losses.SparseCategoricalCrossentropy(from_logits=True), "softmax", CLASSES),
    ],
)
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_logits_of_an_output_that_is_a_probability(loss, last, y, method):
    words = f"from_logits|{last}|{loss.name}"
    refuses(network(last=last, loss=loss), ValueError, words, lambda model: getattr(model, method)(X, y))


@pytest.mark.parametrize("method", ["fit", "evaluate"])
@pytest.mark.parametrize(
    ("loss", "chosen", "words"),
    [
        ("sparse_categorical_crossentropy", ["mse"], "metric|mean_squared_error|class numbers"),
        ("categorical_crossentropy", ["sparse_categorical_accuracy"], "metric|sparse_categorical_accuracy"),
        ("mse", ["mae", "mae"], "metrics|'mae'|twice"),
        (
            "mse",
            [metrics.BinaryAccuracy(0.1), metrics.BinaryAccuracy(0.1)],
            "metrics|'binary_accuracy'|twice",
        ),
    ],
)
def test_metrics_that_do_not_fit(loss, chosen, words, method):
    y = CLASSES if loss.startswith("sparse") else np.eye(2)[CLASSES]
    model = network(last="softmax", loss=loss, metrics=chosen)
    refuses(model, ValueError, words, lambda model: getattr(model, method)(X, y))


def test_before_compile():
    model = Sequential([Input(shape=(3,)), Dense(2)])
    for method in (model.fit, model.evaluate):
        with pytest.raises(NotCompiledError, match="compile"):
            method(X, Y)
    for argument in ("optimizer", "loss"):
        model.compile("sgd", "mse")
        setattr(model, argument, "sgd")
        with pytest.raises(NotCompiledError, match="compile"):
            model.fit(X, Y)


@pytest.mark.parametrize("method", ["get_weights", "count_params", "set_weights"])
def test_before_build(method):
    model = Sequential([Dense(2)])
    with pytest.raises(NotBuiltError, match=r"Input|build"):
        getattr(model, method)(*([[]] if method == "set_weights" else []))


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_without_layers(method):
    for model in (Sequential(), Sequential([Input(shape=(3,))])):
        model.compile(loss="mse")
        with pytest.raises(ValueError, match="no layers"):
            getattr(model, method)(X, *(() if method == "predict" else (Y,)))


# --- layers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("units", [0, -1, 2.5, "3", True, None, NAN])
def test_bad_units(units):
    with pytest.raises(ValueError, match="units must be a positive integer"):
        Dense(units)


@pytest.mark.parametrize("shape", [(0,), (-1,), (2.5,), (None,), (2, 0), (), 3, "3", None, (True,)])
def test_bad_input_shape(shape):
    with pytest.raises(ValueError, match="shape"):
        Input(shape=shape)


@pytest.mark.parametrize("shape", [(4,), (None, 4), (0,), (None, None), (1, 2, 3)])
def test_bad_build(shape):
    refuses(network(), ValueError, "shape", lambda model: model.build(shape))


def test_build_without_a_shape_or_without_layers():
    with pytest.raises(ValueError, match="input_shape"):
        Sequential([Dense(1)]).build()
    with pytest.raises(ValueError, match="layers"):
        Sequential().build((3,))


def test_input_twice_or_late():
    with pytest.raises(ValueError, match="Input must be the first"):
        Sequential([Input(shape=(3,)), Input(shape=(3,))])
    with pytest.raises(ValueError, match="Input must be the first"):
        Sequential([Dense(1), Input(shape=(3,))])
    refuses(network(), ValueError, "Input", lambda model: model.add(Input(shape=(3,))))


def test_names_that_are_taken():
    with pytest.raises(ValueError, match=r"unique.*'same'"):
        Sequential([Dense(1, name="same"), Dense(1, name="same")])
    with pytest.raises(ValueError, match=r"unique.*'dense'"):
        Sequential([Dense(1), Dense(1, name="dense")])
    model = network()
    refuses(model, ValueError, "dense_1|unique", lambda model: model.add(Dense(2, name="dense_1")))
    assert len(model.layers) == 2


@pytest.mark.parametrize("lazy", [False, True], ids=["built", "lazy"])
def test_a_layer_used_twice(lazy):
    layer = Dense(3, name="mine")
    start = [] if lazy else [Input(shape=(3,))]
    with pytest.raises(ValueError, match=r"'mine' already belongs"):
        Sequential([*start, layer, layer])


@pytest.mark.parametrize("lazy", [False, True], ids=["built", "lazy"])
def test_a_layer_used_in_two_models(lazy):
    layer = Dense(3, name="mine")
    start = [] if lazy else [Input(shape=(3,))]
    model = Sequential([*start, layer])
    with pytest.raises(ValueError, match=r"'mine' already belongs"):
        Sequential([*start, layer])
    assert model.layers == [layer]


# --- weights ----------------------------------------------------------------------------------------------


def weights_of(model, at, value):
    weights = model.get_weights()
    weights[at] = value
    return weights


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda model: model.get_weights()[:3], "weights|4|3"),
        (lambda model: [*model.get_weights(), np.ones(1)], "weights|4|5"),
        (lambda model: [], "weights|4|0"),
        (lambda model: weights_of(model, 0, np.ones((4, 3))), "weights|(3, 4)|(4, 3)"),
        (lambda model: weights_of(model, 3, np.ones((1, 2))), "weights|(2,)|(1, 2)"),
        (lambda model: weights_of(model, 3, np.ones(3)), "weights|(2,)|(3,)"),
        (lambda model: weights_of(model, 0, np.full((3, 4), NAN)), "weights|finite"),
        (lambda model: weights_of(model, 3, [0, INF]), "weights|finite"),
        (lambda model: weights_of(model, 3, [0, 1e39]), "weights|finite"),
        (lambda model: weights_of(model, 2, [[1, 2], [3]]), "weights"),
    ],
)
def test_bad_weights(make, words):
    model = network()
    refuses(model, ValueError, words, lambda model: model.set_weights(make(model)))


def test_bad_weights_change_no_layer_at_all():
    refuses(
        network(),
        ValueError,
        "weights|finite",
        lambda model: model.set_weights([np.ones((3, 4)), np.ones(4), np.ones((4, 2)), [0, NAN]]),
    )


def test_bad_weights_of_a_layer():
    layer = "'dense'|(3, 4)|(4,)"
    for weights in ([np.ones((3, 4))], [np.ones(4), np.ones((3, 4))], [np.ones((3, 4)), 1.0]):
        refuses(network(), ValueError, layer, lambda model, weights=weights: model.layers[0].set_weights(weights))


@pytest.mark.parametrize("weights", [None, 3])
def test_weights_of_a_layer_that_are_no_list(weights):
    refuses(
        network(),
        TypeError,
        f"weights of layer 'dense_1'|list of arrays|{weights}",
        lambda model: model.layers[1].set_weights(weights),
    )


def test_advice_for_weights_is_not_about_rows():
    model = network()
    with pytest.raises(ValueError, match=r"finite.*\(0, 0\)") as caught:
        model.layers[0].set_weights([np.full((3, 4), NAN), np.zeros(4)])
    assert "rows" not in str(caught.value)


def test_an_initializer_that_raises_leaves_a_layer_without_weights():
    layer = Dense(2, bias_initializer="orthogonal")
    with pytest.raises(ValueError, match="orthogonal"):
        Sequential([Input(shape=(3,)), layer])
    assert not layer.built


@pytest.mark.parametrize("value", [["a", "b"], [1j, 2j], [None, None]], ids=["texts", "complex", "objects"])
def test_weights_that_are_no_real_numbers(value):
    model = network()
    before = bits(model)
    with pytest.raises((TypeError, ValueError), match="weights"):
        model.set_weights(weights_of(model, 3, value))
    assert bits(model) == before


@pytest.mark.parametrize(
    ("index", "words"), [(2, "index|2"), (-3, "index|-3")], ids=["above", "below"]
)  # fmt: skip
def test_bad_index(index, words):
    refuses(network(), ValueError, words, lambda model: model.get_layer(index=index))


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"learning_rate": -0.1}),
        ("SGD", {"learning_rate": NAN}),
        ("SGD", {"learning_rate": INF}),
        ("SGD", {"learning_rate": "0.1"}),
        ("SGD", {"learning_rate": None}),
        ("SGD", {"momentum": 1.5}),
        ("SGD", {"clipnorm": 0}),
        ("SGD", {"clipvalue": -1.0}),
        ("SGD", {"global_clipnorm": NAN}),
        ("SGD", {"weight_decay": -1.0}),
        ("Adam", {"beta_1": 1.0}),
        ("Adam", {"beta_2": -0.1}),
        ("Adam", {"epsilon": -1e-7}),
        ("RMSprop", {"rho": 1.0}),
        ("Adagrad", {"initial_accumulator_value": -0.1}),
        ("Adagrad", {"epsilon": NAN}),
        ("Nadam", {"beta_1": 1.0}),
        ("Nadam", {"epsilon": -1.0}),
        ("Lion", {"beta_1": 0.0}),
        ("Lion", {"beta_2": 1.5}),
        ("SGD", {"ema_momentum": 1.5}),
        ("SGD", {"ema_overwrite_frequency": 0}),
        ("SGD", {"ema_overwrite_frequency": 2.5}),
        ("SGD", {"gradient_accumulation_steps": 1}),
        ("SGD", {"gradient_accumulation_steps": True}),
        ("SGD", {"gradient_accumulation_steps": "2"}),
    ],
)
def test_bad_settings_of_optimizers(kind, options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        getattr(optimizers, kind)(**options)


def test_adagrad_that_would_divide_by_zero():
    with pytest.raises(
        ValueError, match=r"initial_accumulator_value and epsilon must not both be 0.*got 0\.0 and 1e-60"
    ):
        optimizers.Adagrad(initial_accumulator_value=0.0, epsilon=1e-60)


def test_two_kinds_of_clipping():
    with pytest.raises(ValueError, match=r"clipvalue.*clipnorm"):
        optimizers.SGD(clipvalue=1.0, clipnorm=1.0)


@pytest.mark.parametrize("value", [-1.0, NAN, "fast"])
def test_a_setting_spoilt_after_compile(value):
    model = network()
    model.optimizer.learning_rate = value
    refuses(model, ValueError, "learning_rate", lambda model: model.fit(X, Y, verbose=0))


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: losses.Huber(delta=0.0), "delta"),
        (lambda: losses.Huber(delta=NAN), "delta"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), "label_smoothing"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=-0.1), "label_smoothing"),
        (lambda: losses.Huber(delta=1e-60), "delta"),
        (lambda: losses.Huber(delta=1e60), "delta"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing=NAN), "label_smoothing"),
        (lambda: metrics.BinaryAccuracy(threshold=NAN), "threshold"),
        (lambda: activations.ELU(alpha=1e60), "alpha must be a finite number.*float32"),
        (lambda: regularizers.L2(1e60), "l2 must be a finite number.*float32"),
        (lambda: initializers.Constant(-1e60), "value must be a finite number.*float32"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "k must"),
        (lambda: metrics.SparseTopKCategoricalAccuracy(k=2.5), "k must"),
    ],
)
def test_bad_settings_of_losses_and_metrics(make, name):
    with pytest.raises(ValueError, match=name):
        make()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: losses.Huber(delta="1"), "delta must be a finite number, got '1'"),
        (lambda: losses.Huber(delta=True), "delta must be"),
        (lambda: losses.CategoricalCrossentropy(label_smoothing="1"), "label_smoothing must be a number from 0 to 1"),
        (lambda: metrics.BinaryAccuracy(threshold="1"), "threshold"),
        # the first argument is not the smoothing
        (lambda: losses.BinaryCrossentropy(0.1), "from_logits must be True or False, got 0.1"),
        (lambda: losses.CategoricalCrossentropy(from_logits="no"), "from_logits"),
        (lambda: losses.SparseCategoricalCrossentropy(0.1), "from_logits"),
        (lambda: activations.GELU(approximate="tanh"), "approximate"),
        (lambda: optimizers.SGD(nesterov=0.9), "nesterov"),
        (lambda: optimizers.Adam(amsgrad="no"), "amsgrad"),
        (lambda: optimizers.RMSprop(centered=1), "centered"),
        (lambda: optimizers.Adam(use_ema=1), "use_ema"),
        (lambda: Dense(1, use_bias="no"), "use_bias"),
    ],
)
def test_settings_of_another_type(make, name):
    with pytest.raises(TypeError, match=name):
        make()


def test_models_of_what_are_no_layers_or_names():
    with pytest.raises(TypeError, match=r"layers must be a list such as .*, got Dense\(3"):
        Sequential(Dense(3))
    with pytest.raises(TypeError, match="name must be a text, got 3"):
        Sequential(name=3)


def test_a_layer_that_cannot_be_built_is_not_added():
    model = Sequential([Input(shape=(3,)), Dense(4)], seed=0)
    before = model.get_weights()
    layer = Dense(2, bias_initializer="orthogonal")
    with pytest.raises(ValueError, match="orthogonal"):
        model.add(layer)
    assert [other.units for other in model.layers] == [4]
    assert not layer.taken
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.add(Dense(2))
    assert model.predict(np.zeros((1, 3))).shape == (1, 2)


@pytest.mark.parametrize("wrong", [3, "ab", ()])
def test_input_shapes_that_are_none(wrong):
    with pytest.raises(ValueError, match="input_shape must be"):
        Sequential([Dense(3)]).build(wrong)


@pytest.mark.parametrize("wrong", [None, 3])
def test_weights_that_are_no_list(wrong):
    with pytest.raises(TypeError, match=f"weights must be a list of arrays, got {wrong}"):
        Sequential([Input(shape=(2,)), Dense(3)]).set_weights(wrong)


def test_index_and_validation_data_of_another_type():
    model = Sequential([Input(shape=(2,)), Dense(1)])
    with pytest.raises(TypeError, match="index must be a whole number, got '0'"):
        model.get_layer(index="0")
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"validation_data must be .*, got 1 elements"):
        model.fit(np.zeros((2, 2)), np.zeros(2), validation_data=(np.zeros((2, 2)),), verbose=0)


@pytest.mark.parametrize("optimizer", [optimizers.Adam, optimizers.Nadam, optimizers.RMSprop])
@pytest.mark.parametrize("epsilon", [0, 0.0, 1e-60, -1e-7, NAN])
def test_an_epsilon_that_divides_by_nothing(optimizer, epsilon):
    with pytest.raises(ValueError, match="epsilon"):
        optimizer(epsilon=epsilon)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.Dropout(0.5), "draws random numbers"),
        (layers.BatchNormalization(), "averages of batches"),
        (Dense(3, kernel_constraint="max_norm"), "kernel_constraint"),
    ],
)
def test_lbfgs_refuses_what_it_cannot_train(layer, message):
    model = Sequential([Input(shape=(3,)), layer, Dense(1)])
    model.compile("lbfgs", "mse")
    with pytest.raises(ValueError, match=message):
        model.fit(np.zeros((4, 3)), np.zeros(4), verbose=0)
