import dataclasses
import math

import numpy as np
import pytest

from fastmlp import initializers
from fastmlp.initializers import Constant, HeNormal, Initializer, Orthogonal, RandomNormal, RandomUniform

SHAPE = (300, 500)
VARIANCES = {
    "glorot_uniform": 2 / 800,
    "glorot_normal": 2 / 800,
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_uniform": 1 / 300,
    "lecun_normal": 1 / 300,
}
BIAS_VARIANCES = {name: (2 if name.startswith("he") else 1) / 50_000 for name in VARIANCES}


def draw(initializer, shape, seed=0):
    return initializer(shape, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("shape", "variances"), [(SHAPE, VARIANCES), ((50_000,), BIAS_VARIANCES)], ids=["weights", "biases"]
)
@pytest.mark.parametrize("name", VARIANCES)
def test_variance_and_bounds_of_variance_scaling(name, shape, variances):
    values = draw(initializers.get(name), shape).astype(np.float64)
    stddev = math.sqrt(variances[name])
    # Five standard errors of the estimate; the kurtosis of both distributions is below 3.
    assert abs(values.mean()) < 5 * stddev / math.sqrt(values.size)
    assert values.std() == pytest.approx(stddev, rel=5 / math.sqrt(2 * values.size))
    limit = stddev * (math.sqrt(3) if name.endswith("uniform") else 2 / 0.87962566103423978)
    assert 0.999 * limit < np.abs(values).max() <= limit * (1 + 1e-6)


def test_the_correction_is_the_deviation_of_a_truncated_normal():
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    inside = math.erf(2 / math.sqrt(2))
    assert math.sqrt(1 - 4 * density / inside) == pytest.approx(initializers.TRUNCATED_STDDEV, rel=1e-12)


def test_a_truncated_normal_has_the_shape_of_one():
    values = draw(HeNormal(), (400, 400)) / (math.sqrt(2 / 400) / initializers.TRUNCATED_STDDEV)
    inside = math.erf(2 / math.sqrt(2))
    for bound in (0.5, 1.0, 1.5):
        expected = math.erf(bound / math.sqrt(2)) / inside
        assert np.mean(np.abs(values) < bound) == pytest.approx(expected, abs=5 * 0.5 / 400)


def test_random_normal_and_uniform_follow_their_arguments():
    normal = draw(RandomNormal(mean=3.0, stddev=0.5), SHAPE)
    assert normal.mean() == pytest.approx(3, abs=0.01)
    assert normal.std() == pytest.approx(0.5, rel=0.01)
    uniform = draw(RandomUniform(minval=1.0, maxval=4.0), SHAPE)
    assert 1 <= uniform.min() < 1.001
    assert 3.999 < uniform.max() <= 4
    assert uniform.mean() == pytest.approx(2.5, abs=0.02)


def test_constants():
    for name, value in (("zeros", 0), ("ones", 1), ("constant", 0)):
        np.testing.assert_array_equal(draw(initializers.get(name), (3, 2)), np.full((3, 2), value, np.float32))
    np.testing.assert_array_equal(draw(Constant(0.1), (4,)), np.full(4, 0.1, np.float32))


@pytest.mark.parametrize("shape", [(40, 40), (70, 30), (30, 70), (1, 9), (9, 1)])
def test_orthogonal_rows_or_columns(shape):
    matrix = draw(Orthogonal(gain=2.0), shape).astype(np.float64)
    product = matrix.T @ matrix if shape[0] >= shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-5)


def test_orthogonal_has_no_preferred_sign():
    diagonal = np.array([draw(Orthogonal(), (2, 2), seed)[0, 0] for seed in range(400)])
    assert 0.4 < np.mean(diagonal > 0) < 0.6


@pytest.mark.parametrize("name", initializers.TABLE)
def test_every_initializer_repeats_itself_and_can_be_rebuilt(name):
    initializer = initializers.get(name)
    first, again, other = (draw(initializer, (6, 8), seed) for seed in (1, 1, 2))
    assert first.shape == (6, 8)
    assert first.dtype == np.float32
    assert first.flags.c_contiguous
    assert first.flags.writeable
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (name in {"zeros", "ones", "constant"})
    assert type(initializer)(**initializer.get_config()) == initializer
    with pytest.raises(dataclasses.FrozenInstanceError):
        initializer.gain = 3.0


def test_get_returns_instances_as_they_are():
    initializer = RandomNormal(stddev=1)
    assert initializers.get(initializer) is initializer
    assert initializer.stddev == 1.0
    assert type(initializer.stddev) is float


def test_get_refuses_others():
    with pytest.raises(ValueError, match="unknown initializer 'he_norml': did you mean 'he_normal'"):
        initializers.get("he_norml")
    for wrong in (HeNormal, 3, None):
        with pytest.raises(TypeError, match="initializer must be a name or an instance such as"):
            initializers.get(wrong)
    with pytest.raises(TypeError):
        Initializer()


@pytest.mark.parametrize(
    ("build", "error", "match"),
    [
        (lambda: Constant(float("nan")), ValueError, "value must be a finite number, got nan"),
        (lambda: Constant("1"), TypeError, "value must be a finite number, got '1'"),
        (lambda: RandomNormal(stddev=-1), ValueError, "stddev must be a finite number of at least 0, got -1"),
        (lambda: RandomUniform(1.0, 0.0), ValueError, "minval must be at most maxval"),
        (lambda: Orthogonal(gain=float("inf")), ValueError, "gain must be a finite number, got inf"),
        (lambda: draw(Orthogonal(), (3,)), ValueError, r"shape must be \(K, N\) .* got \(3,\)"),
        (
            lambda: draw(HeNormal(), (3, 3, 3)),
            ValueError,
            r"shape must be \(K, N\) or \(N,\), got \(3, 3, 3\)",
        ),
    ],
)
def test_wrong_arguments(build, error, match):
    with pytest.raises(error, match=match):
        build()
