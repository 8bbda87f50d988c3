"""Learning rates of steps against plain formulas, on their own and inside the compiled loop."""

import math

import naive
import numpy as np
import pytest

from fastmlp import Dense, Input, Sequential, callbacks, optimizers
from fastmlp.errors import TrainingDivergedError
from fastmlp.optimizers import schedules

# Each kind with its twin; numbers such that steps fall on, before and after every corner within 60 steps.
SCHEDULES = [
    ("ExponentialDecay", naive.exponential_decay, (0.1, 7, 0.9), {}),
    ("ExponentialDecay", naive.exponential_decay, (0.1, 7, 0.5, True), {}),
    ("ExponentialDecay", naive.exponential_decay, (0.1, 2.5, 0.0), {}),
    ("InverseTimeDecay", naive.inverse_time_decay, (0.1, 3, 0.5), {}),
    ("InverseTimeDecay", naive.inverse_time_decay, (0.1, 8, 0.5, True), {}),
    ("PolynomialDecay", naive.polynomial_decay, (0.1, 13), {}),
    ("PolynomialDecay", naive.polynomial_decay, (0.1, 20, 0.03, 0.5), {}),
    ("PolynomialDecay", naive.polynomial_decay, (0.01, 20, 0.1, 2.0), {}),
    ("PolynomialDecay", naive.polynomial_decay, (0.1, 11, 0.01, 2.0, True), {}),
    ("PiecewiseConstantDecay", naive.piecewise_constant_decay, ([], [0.1]), {}),
    ("PiecewiseConstantDecay", naive.piecewise_constant_decay, ([0, 9, 10, 40], [0.1, 0.02, 0.3, 0.0, 0.05]), {}),
    ("PiecewiseConstantDecay", naive.piecewise_constant_decay, (range(0, 50, 2), [0.1 + i for i in range(26)]), {}),
    ("CosineDecay", naive.cosine_decay, (0.1, 17), {}),
    ("CosineDecay", naive.cosine_decay, (0.1, 17, 0.2), {}),
    ("CosineDecay", naive.cosine_decay, (0.0, 17), {"alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 9}),
    ("CosineDecay", naive.cosine_decay, (0.05, 17), {"warmup_target": 0.2, "warmup_steps": 0}),
    ("CosineDecayRestarts", naive.cosine_decay_restarts, (0.1, 5), {}),
    ("CosineDecayRestarts", naive.cosine_decay_restarts, (0.1, 7, 1.0, 0.8, 0.1), {}),
    ("CosineDecayRestarts", naive.cosine_decay_restarts, (0.1, 4, 1.5, 0.5), {}),
]  # fmt: skip
IDS = [f"{kind}{arguments}{options or ''}" for kind, _, arguments, options in SCHEDULES]
parametrized = pytest.mark.parametrize(("kind", "formula", "arguments", "options"), SCHEDULES, ids=IDS)


def one_weight(rate, **options):
    """A model of one weight whose gradient is always -1, so that every step adds its learning rate."""
    model = Sequential([Input(shape=(1,)), Dense(1, use_bias=False, kernel_initializer="zeros")], seed=0)
    model.compile(optimizers.SGD(rate, **options), "mean_absolute_error")
    return model


X, Y = np.ones((12, 1), np.float32), np.full((12, 1), 1e3, np.float32)


@parametrized
def test_every_kind_follows_its_formula(kind, formula, arguments, options):
    schedule = getattr(schedules, kind)(*arguments, **options)
    rates = [schedule(step) for step in range(60)]
    expected = [formula(step, *arguments, **options) for step in range(60)]
    assert all(type(rate) is float for rate in rates)
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-15)


@parametrized
def test_every_step_of_a_training_has_its_rate(kind, formula, arguments, options):
    model = one_weight(getattr(schedules, kind)(*arguments, **options))
    weights = []
    for _ in range(4):
        model.fit(X, Y, batch_size=1, verbose=0)
        weights.append(model.get_weights()[0].item())
    model.train_on_batch(X, Y)
    weights.append(model.get_weights()[0].item())
    totals = np.cumsum([formula(step, *arguments, **options) for step in range(49)])
    np.testing.assert_allclose(weights, totals[[11, 23, 35, 47, 48]], rtol=2e-6)


def test_every_schedule_is_tested():
    assert {kind for kind, *_ in SCHEDULES} | {"OneCycle"} == set(schedules.TABLE)


def test_restarts_are_where_a_logarithm_rounds_down():
    # log(243) / log(3) is less than 5
    schedule = schedules.CosineDecayRestarts(1.0, 1, t_mul=3.0, m_mul=0.5)
    for step in (0, 1, 4, 13, 40, 121, 364, 1093, 3280, 9841):
        assert schedule(step) == pytest.approx(naive.cosine_decay_restarts(step, 1.0, 1, 3.0, 0.5), abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3, 10, 37, 100])
@pytest.mark.parametrize("options", [{}, {"pct_start": 0.0}, {"pct_start": 1.0}, {"pct_start": 0.45, "div_factor": 3.0,
                         "final_div_factor": 7.0}], ids=str)  # fmt: skip
def test_one_cycle_is_that_of_pytorch(total, options):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    try:
        theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total, cycle_momentum=False, **options)
    except ZeroDivisionError:
        pytest.skip("PyTorch divides by 0 here")
    schedule = schedules.OneCycle(0.3, total, **options)
    for step in range(total):
        assert schedule(step) == pytest.approx(theirs.get_last_lr()[0], rel=1e-9, abs=1e-15), step
        optimizer.step()
        if step < total - 1:
            theirs.step()
    if total > 2:
        assert schedule(total + 5) == schedule(total - 1) or options.get("pct_start") == 1.0


def test_one_cycle_in_a_training():
    schedule = schedules.OneCycle(0.3, 30)
    model = one_weight(schedule)
    model.fit(X, Y, batch_size=1, epochs=2, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(sum(schedule(step) for step in range(24)), rel=1e-6)


def test_accumulated_batches_count_as_in_keras():
    """Keras gives a schedule the number of batches, of which the last of each update is the one that matters."""
    schedule = schedules.ExponentialDecay(0.1, 5, 0.5)
    model = one_weight(schedule, gradient_accumulation_steps=3)
    model.fit(X, Y, batch_size=1, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(sum(schedule(step) for step in (2, 5, 8, 11)), rel=1e-6)
    assert (model.optimizer.batches, model.optimizer.iterations) == (12, 4)
    assert model.optimizer.learning_rate == schedule(12)


def test_the_learning_rate_is_that_of_the_next_step():
    schedule = schedules.InverseTimeDecay(0.1, 1, 1.0)
    model, seen = one_weight(schedule), []
    optimizer = model.optimizer
    assert (optimizer.schedule, optimizer.learning_rate, optimizer.iterations) == (schedule, 0.1, 0)
    hook = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(optimizer.learning_rate))
    model.fit(X, Y, batch_size=4, verbose=0, callbacks=[hook])
    assert seen == [schedule(1), schedule(2), schedule(3)]
    assert optimizers.SGD().schedule is None


def test_callbacks_cannot_change_a_schedule():
    schedule = schedules.ExponentialDecay(0.1, 4, 0.5)
    model = one_weight(schedule)
    with pytest.raises(TypeError, match=r"learning_rate follows ExponentialDecay\(.*cannot be set to 0\.5"):
        model.optimizer.learning_rate = 0.5
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    with pytest.raises(TypeError, match="learning_rate follows"):
        model.fit(X, Y, verbose=0, callbacks=[scheduler])
    # a plateau is only logged until there is one
    plateau = callbacks.ReduceLROnPlateau("loss", patience=5)
    history = model.fit(X, Y, epochs=2, batch_size=3, verbose=0, callbacks=[plateau])
    assert history.history["learning_rate"] == pytest.approx([0.05, 0.025])
    with pytest.raises(TypeError, match="learning_rate follows"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1e6)])
    model.optimizer.learning_rate = schedules.CosineDecay(0.2, 10)
    assert model.optimizer.learning_rate < 0.2


def test_a_number_can_become_a_schedule():
    model = one_weight(0.5)
    model.fit(X, Y, batch_size=6, verbose=0)
    model.optimizer.learning_rate = schedules.PiecewiseConstantDecay([2], [0.1, 0.01])
    model.fit(X, Y, batch_size=6, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(0.5 + 0.5 + 0.1 + 0.01)


def test_a_divergence_starts_a_schedule_anew():
    model = one_weight(schedules.PiecewiseConstantDecay([3], [0.1, 1e38]))
    model.compile(model.optimizer, "mse")
    model.fit(X, Y, batch_size=3, verbose=0)
    with pytest.raises(TrainingDivergedError):
        model.fit(X, Y, batch_size=3, verbose=0)
    assert model.optimizer.batches == 0


@pytest.mark.parametrize(
    ("kind", "arguments", "words"),
    [
        ("ExponentialDecay", (-0.1, 5, 0.5), "initial_learning_rate must be a finite number of at least 0, got -0.1"),
        ("ExponentialDecay", (0.1, 0, 0.5), "decay_steps must be greater than 0, got 0"),
        ("ExponentialDecay", (0.1, 5, -0.5), "decay_rate must be"),
        ("InverseTimeDecay", (0.1, math.nan, 0.5), "decay_steps must be"),
        ("PolynomialDecay", (0.1, 5, 0.1, -1.0), "power must be"),
        ("PolynomialDecay", (0.1, -5), "decay_steps must be greater than 0, got -5"),
        ("CosineDecay", (0.1, 5, -1.0), "alpha must be"),
        ("CosineDecay", (0.1, 5, 0.0, "name", math.inf, 3), "warmup_target must be"),
        ("CosineDecayRestarts", (0.1, 5, 0.5), "t_mul must be a finite number of at least 1, got 0.5"),
        ("PiecewiseConstantDecay", ([1, 2], [0.1, 0.2]), "values must be one more than boundaries, got 2 values and 2"),
        ("PiecewiseConstantDecay", ([2, 1], [0.1, 0.2, 0.3]), r"boundaries must increase, got \(2, 1\)"),
        ("PiecewiseConstantDecay", ([1], [0.1, -0.2]), "values must be"),
        ("OneCycle", (0.1, 0), "total_steps must be a positive integer, got 0"),
        ("OneCycle", (0.1, 10, 1.5), "pct_start must be a number from 0 to 1, got 1.5"),
        ("OneCycle", (0.1, 10, 0.3, 0.0), "div_factor must be greater than 0"),
    ],
)  # fmt: skip
def test_bad_settings_of_schedules(kind, arguments, words):
    with pytest.raises(ValueError, match=words):
        getattr(schedules, kind)(*arguments)


def test_settings_of_another_type():
    with pytest.raises(TypeError, match="boundaries must be a sequence of numbers, got 3"):
        schedules.PiecewiseConstantDecay(3, [0.1])
    with pytest.raises(TypeError, match="staircase must be True or False"):
        schedules.ExponentialDecay(0.1, 5, 0.5, 1)
    with pytest.raises(TypeError, match=r"learning_rate must be a number or one of fastmlp\.optimizers\.schedules"):
        optimizers.SGD(lambda step: 0.1)

    class Mine(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.1

    with pytest.raises(NotImplementedError, match=r"Mine must override compiled\(self\)"):
        optimizers.SGD(Mine())


def test_as_keras_imports_them():
    from fastmlp.optimizers.schedules import CosineDecay

    assert optimizers.schedules.CosineDecay is CosineDecay
    assert CosineDecay(0.1, 5) == CosineDecay(0.1, decay_steps=5)
