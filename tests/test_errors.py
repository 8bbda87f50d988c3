import numpy as np
import pytest

from fastmlp import errors


def test_close_names_are_suggested():
    error = errors.unknown_name("activation", "rleu", ["linear", "relu", "elu", "tanh"])
    assert type(error) is ValueError
    assert str(error) == (
        "unknown activation 'rleu': did you mean 'relu' or 'elu'? Valid names: linear, relu, elu, tanh"
    )


@pytest.mark.parametrize("name", ["Adam", "ADAM", "adm"])
def test_case_does_not_hide_a_name(name):
    assert "did you mean 'adam'?" in str(errors.unknown_name("optimizer", name, ["adam", "sgd"]))


@pytest.mark.parametrize("name", ["xyz", "", 7, None])
def test_without_a_close_name_only_the_valid_ones_are_listed(name):
    message = str(errors.unknown_name("loss", name, iter(["mse", "mae"])))
    assert message == f"unknown loss {name!r}. Valid names: mse, mae"


def test_every_error_can_be_caught_as_the_builtin_it_refines():
    for kind, builtin in (
        (errors.TrainingDivergedError, ArithmeticError),
        (errors.NotCompiledError, RuntimeError),
        (errors.NotBuiltError, RuntimeError),
        (errors.ModelBusyError, RuntimeError),
        (errors.ModelFileError, ValueError),
    ):
        assert issubclass(kind, builtin)
        assert issubclass(kind, errors.FastMLPError)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1)])
def test_numbers_of_any_type_become_floats(value):
    number = errors.finite_number("rate", value)
    assert type(number) is float
    assert number == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-9])
def test_a_number_out_of_range_is_named(value):
    with pytest.raises(ValueError, match=r"^rate must be a finite number of at least 0, got "):
        errors.finite_number("rate", value, at_least=0.0)


@pytest.mark.parametrize("value", ["1", None, True, 1j, [1.0]])
def test_what_is_no_number_is_named_with_its_type(value):
    with pytest.raises(TypeError, match=rf"^rate must be a finite number, got .*{type(value).__name__}$"):
        errors.finite_number("rate", value)
