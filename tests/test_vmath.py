import numpy as np
import numpy.typing as npt
import pytest
from scipy import special

from fastmlp.kernels import vmath
from fastmlp.kernels.jit import JIT_DISABLED, kernel

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
NAN, INF = np.nan, np.inf
# The midpoint between the largest float32 and 2**128: what reaches it rounds to infinity.
OVERFLOW = 2.0**128 - 2.0**103

# function: reference in float64, bound in ulp, and (argument, exact float32 result) pairs
FUNCTIONS = {
    "exp": (np.exp, 2.0, [(0.0, 1), (-0.0, 1), (-INF, 0), (INF, INF), (88.75, INF), (3e38, INF), (-104, 0)]),
    "expm1": (np.expm1, 2.0, [(0.0, 0.0), (-0.0, -0.0), (-INF, -1), (INF, INF), (88.75, INF), (-3e38, -1)]),
    "log": (
        np.log,
        2.0,
        [(0.0, -INF), (-0.0, -INF), (1, 0.0), (INF, INF), (-1e-45, NAN), (-1, NAN), (-INF, NAN)],
    ),
    "log1p": (
        np.log1p,
        2.0,
        [(0.0, 0.0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-1.0000002, NAN), (-INF, NAN)],
    ),
    "tanh": (np.tanh, 2.0, [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (3e38, 1), (-3e38, -1)]),
    "sigmoid": (special.expit, 2.0, [(0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (3e38, 1), (-3e38, 0)]),
    "softplus": (lambda x: np.logaddexp(0.0, x), 2.0, [(INF, INF), (-INF, 0), (3e38, 3e38), (-3e38, 0)]),
    "erf": (special.erf, 2.0, [(0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (3e38, 1), (-3e38, -1)]),
}
KEEPS_TINY = ["expm1", "log1p", "tanh"]  # f(x) = x(1 + O(x))
NAMES = list(FUNCTIONS)


def _over_array(name):
    function = getattr(vmath, name)

    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return kernel(loop)


LOOPS = {name: _over_array(name) for name in NAMES}


def apply(name: str, x: F32) -> F32:
    out = np.empty_like(x)
    LOOPS[name](x, out)
    return out


def reference(name: str, x: F32) -> F64:
    with np.errstate(all="ignore"):
        return FUNCTIONS[name][0](x.astype(np.float64))


def worst_error(got: F32, exact: F64) -> float:
    """The largest error in ulp of the exact result; NaN and infinity must be where they belong."""
    np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
    overflow = np.abs(exact) >= OVERFLOW
    np.testing.assert_array_equal(got[overflow], np.sign(exact[overflow]) * INF)
    finite = ~overflow & ~np.isnan(exact)
    got64, exact = got[finite].astype(np.float64), exact[finite]
    # An infinity next to the overflow edge counts as 2**128, the number after the largest one.
    got64 = np.where(np.isinf(got64), np.copysign(2.0**128, got64), got64)
    ulp = np.ldexp(1.0, np.maximum(np.frexp(exact)[1], -125) - 24)
    return float(np.max(np.abs(got64 - exact) / ulp, initial=0.0))


def from_bits(first: int, last: int, step: int) -> F32:
    return np.arange(first, last, step, dtype=np.uint64).astype(np.uint32).view(np.float32)


def around(value: float, count: int) -> F32:
    """The float32 numbers on both sides of a value other than 0."""
    middle = int(np.float32(value).view(np.uint32))
    return from_bits(middle - count, middle + count + 1, 1)


def test_measure_of_error_sees_errors() -> None:
    exact = np.array([1.0, 2.0**-149, OVERFLOW - 2.0**80, OVERFLOW, NAN])
    right = np.array([1.0, 2.0**-149, INF, INF, NAN], np.float32)
    assert worst_error(right, exact) == pytest.approx(0.5)
    assert worst_error(np.array([1 + 3 * 2.0**-23], np.float32), exact[:1]) == 3
    assert worst_error(np.array([4 * 2.0**-149], np.float32), exact[1:2]) == 3
    for wrong in ([1.0, 0, 0, 3e38, NAN], [1.0, 0, 0, -INF, NAN], [1.0, 0, 0, INF, 0], [NAN, 0, 0, INF, NAN]):
        with pytest.raises(AssertionError):
            worst_error(np.array(wrong, np.float32), exact)


@pytest.mark.parametrize("name", NAMES)
def test_error_over_all_bit_patterns(name: str) -> None:
    x = from_bits(0, 2**32, 4_294_967 if JIT_DISABLED else 4093)
    assert worst_error(apply(name, x), reference(name, x)) <= FUNCTIONS[name][1]


@pytest.mark.parametrize("name", NAMES)
def test_error_on_the_working_range(name: str) -> None:
    count = 500 if JIT_DISABLED else 2_000_001
    for limit in (1.0, 20.0, 110.0):
        x = np.linspace(-limit, limit, count).astype(np.float32)
        assert worst_error(apply(name, x), reference(name, x)) <= FUNCTIONS[name][1]


@pytest.mark.parametrize("name", NAMES)
def test_error_around_thresholds(name: str) -> None:
    # ends of the polynomials, of the reductions, of the clips, of overflow, of subnormal results and of these
    edges = [2.0**-126, 2.0**-26, 0.29289, 0.34657, 0.41421, 0.55, 0.70711, 1.0, 1.03972, 1.41421, 2.0, 4.0]
    edges += [
        9.01,
        10.0,
        18.0,
        87.3365,
        88.0297,
        88.7228,
        89.0,
        103.9721,
        104.0,
        2.0**24,
        1.7e38,
        2.4e38,
        3.3e38,
    ]
    count = 8 if JIT_DISABLED else 5000
    x = np.concatenate([sign * around(edge, count) for edge in edges for sign in (1, -1)])
    x = np.concatenate([x, from_bits(0, count, 1), from_bits(2**31, 2**31 + count, 1)])
    assert worst_error(apply(name, x), reference(name, x)) <= FUNCTIONS[name][1]


@pytest.mark.parametrize("name", NAMES)
def test_special_values(name: str) -> None:
    x, expected = np.array(FUNCTIONS[name][2], np.float32).T
    # short for the remainder of the loop, long for its vector body
    for repeats in (1, 64):
        got = apply(name, np.repeat(x, repeats))
        np.testing.assert_array_equal(got, np.repeat(expected, repeats))
        numbers = ~np.isnan(got)
        np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(np.repeat(expected, repeats))[numbers])


@pytest.mark.parametrize("name", NAMES)
def test_nan_propagates(name: str) -> None:
    nans = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7FFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(apply(name, np.repeat(nans, 1 if JIT_DISABLED else 33))).all()


@pytest.mark.parametrize("name", KEEPS_TINY)
def test_tiny_arguments_are_kept(name: str) -> None:
    x = np.array([1e-45, -1e-45, 1e-40, -1e-40, 1.2e-38, 1e-20, -1e-20], np.float32)
    np.testing.assert_array_equal(apply(name, x), x)


@pytest.mark.parametrize("name", ["tanh", "erf"])
def test_odd(name: str) -> None:
    x = np.linspace(0, 12, 300 if JIT_DISABLED else 100_003).astype(np.float32)
    np.testing.assert_array_equal(apply(name, -x), -apply(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_monotone_up_to_rounding(name: str) -> None:
    low = 0.0 if name == "log" else -0.999 if name == "log1p" else -100.0
    y = apply(name, np.linspace(low, 88.0, 400).astype(np.float32))
    assert (np.diff(y) >= -2 * np.spacing(np.abs(y[1:]))).all()
    assert y[-1] > y[0]


@pytest.mark.parametrize("name", NAMES)
def test_result_is_float32(name: str) -> None:
    result = getattr(vmath, name)(np.float32(0.75))
    # a compiled scalar function hands a Python float back, which must be a float32 number
    assert isinstance(result, np.float32 if JIT_DISABLED else float)
    assert float(np.float32(result)) == float(result)


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
@pytest.mark.parametrize("name", NAMES)
def test_loop_is_vectorised(name: str) -> None:
    apply(name, np.ones(3, np.float32))
    (text,) = LOOPS[name].inspect_llvm().values()
    assert any(f"<{lanes} x float>" in text for lanes in (4, 8, 16))


@pytest.mark.skipif(JIT_DISABLED, reason="nothing is compiled")
@pytest.mark.parametrize("name", NAMES)
def test_vector_body_and_remainder_agree(name: str) -> None:
    x = np.linspace(-20, 20, 1003).astype(np.float32)
    one_by_one = np.array([apply(name, x[i : i + 1])[0] for i in range(x.size)])
    np.testing.assert_array_equal(apply(name, x), one_by_one)
