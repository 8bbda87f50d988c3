"""Elementary functions on float32 scalars that LLVM vectorises when a loop calls them.

What the loop vectoriser needs shapes everything here: no branches (both sides of a choice are computed, then
one is selected), no calls to libm, no float64, and int32 where the bits of a float are needed; Numba widens
sums of int32 to int64, so each one is cast back. Selecting ``LIMIT if x > LIMIT else x`` keeps NaN.

Every function is within 2 ulp (units in the last place; below the normal range, the spacing of subnormals) of
the exact result, whether products and sums are contracted to FMA (compiled) or not (the plain-Python mode).
The worst errors in the docstrings, rounded up, are the larger of both, measured against float64 over every
31st of the 2³² bit patterns. Every function returns NaN for NaN.

All polynomials are minimax fits of this project (Lawson's weighted least squares on Chebyshev nodes, each
coefficient rounded to float32 before the higher ones are refitted), of the relative error of the result.

Sources: Cody & Waite, "Software Manual for the Elementary Functions" (1980), for the range reductions with a
constant in two parts; Muller, "Elementary Functions: Algorithms and Implementation", for the reconstructions
and error-free sums; Abramowitz & Stegun, "Handbook of Mathematical Functions", for the identities.
"""

import numpy as np

from .jit import inlined, scalar


def _coefficients(*values: float) -> tuple[np.float32, ...]:
    """Round a polynomial's coefficients, lowest first, to float32."""
    return tuple(np.float32(value) for value in values)


ZERO = np.float32(0.0)
QUARTER = np.float32(0.25)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
TWO = np.float32(2.0)
INFINITY = np.float32(np.inf)
NAN = np.float32(np.nan)

# ln 2 in two parts. The first has 9 bits, so that its product with an exponent (8 bits) is exact.
LN2_HIGH = np.float32(355.0 / 512.0)
LN2_LOW = np.float32(-2.1219444005469057e-4)
LOG2_E = np.float32(1.4426950408889634)
LOG2_E_TWICE = np.float32(2 * 1.4426950408889634)
# Adding 1.5·2²³ rounds to an integer (the spacing there is 1), which then sits in the lowest bits.
ROUNDER = np.float32(12582912.0)
ROUNDER_BITS = np.int32(0x4B400000)
# The same with an exponent's bias: shifted into the exponent's place, the sum's lowest bits are 2**n; and n + 32 for
# n that may be below -126.
EXPONENT_ROUNDER = np.float32(12582912.0 + 127)
RAISED_ROUNDER = np.float32(12582912.0 + 127 + 32)
LOWER_AGAIN = np.float32(2.0**-32)

MANTISSA_BITS = np.int32(23)
EXPONENT_BIAS = np.int32(127)
SIGN_BIT = np.int32(-0x80000000)
MAGNITUDE_BITS = np.int32(0x7FFFFFFF)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
SMALLEST_NORMAL = np.float32(2.0**-126)
TO_NORMAL = np.float32(2.0**23)
INT_ZERO = np.int32(0)
INT_ONE = np.int32(1)
INT_TWO = np.int32(2)

EXP_LOWEST = np.float32(-104.0)  # rounds to 0, and 2**n there is a product of two normal numbers
EXP_HIGHEST = np.float32(89.0)  # rounds to infinity
EXPM1_LOWEST = np.float32(-18.0)  # rounds to -1
EXPM1_LARGEST_SHIFT = np.int32(30)  # from here on 1 - 2**-n is 1
TINY = np.float32(2.0**-26)  # expm1 and log1p round to x or its neighbour below this, and keep -0
TANH_SMALL = np.float32(0.55)
TANH_LARGEST = np.float32(10.0)  # tanh rounds to 1
ERF_SMALL = np.float32(1.0)
ERF_LARGEST = np.float32(4.0)  # erf rounds to 1
# 1/d to 3 % on 1 <= d <= 2, for corrections
RECIPROCAL_OFFSET = np.float32(1.4571)
RECIPROCAL_SLOPE = np.float32(0.4857)

# (exp(r) - 1 - r) / r² on |r| <= ln(2)/2: 2**-26.1 of exp(r) - 1, 2**-28 of exp(r)
EXP_TERMS = _coefficients(0.5, 1.6666548e-01, 4.166683e-02, 8.36612e-03, 1.3900287e-03)
# the same with one more term: 2**-31 of exp(r) - 1
EXPM1_TERMS = _coefficients(0.5, 1.6666666e-01, 4.1666493e-02, 8.333545e-03, 1.3932331e-03, 1.9762572e-04)
# (log(1 + f) - f + f²/2) / f³ on sqrt(1/2) <= 1 + f <= sqrt(2): 2**-30 of log(1 + f)
LOG_TERMS = _coefficients(
    *(3.3333313e-01, -2.500001e-01, 2.0002073e-01, -1.6667993e-01, 1.4220318e-01),
    *(-1.24061e-01, 1.1883766e-01, -1.16710976e-01, 6.749965e-02),
)
# (2**f - 1) / f on |f| <= 1/2: 2**-28.3 of 2**f
EXP2_TERMS = _coefficients(6.93147182e-01, 2.40226477e-01, 5.55035993e-02, 9.6185058e-03, 1.33908063e-03, 1.5326463e-04)
# (tanh(a)/a - 1) / a² in a², on a <= 0.55: 2**-24.7 of tanh(a)
TANH_TERMS = _coefficients(-3.3332947e-01, 1.3320729e-01, -5.2672014e-02, 1.6437892e-02)
# erf(a)/a - 1 in a², on a <= 1: 2**-29 of erf(a)
ERF_TERMS = _coefficients(
    *(1.2837917e-01, -3.7612626e-01, 1.1283579e-01, -2.6853347e-02),
    *(5.187162e-03, -7.997853e-04, 7.806903e-05),
)
# log(1 - erf(a)) on 1 <= a <= 4: 2**-29 of erf(a)
LOG_ERFC_TERMS = _coefficients(
    *(-3.4152155e-04, -1.1270891e00, -6.38145e-01, -1.03106454e-01),
    *(2.1837845e-02, -2.9475822e-03, 1.86369e-04),
)


@inlined
def _bits(x: np.float32) -> np.int32:
    """Read the bits of a float; Numba wants the cast in front of ``view``."""
    return np.int32(np.float32(x).view(np.int32))


@inlined
def _from_bits(bits: np.int32) -> np.float32:
    """Make a float of its bits."""
    return np.float32(np.int32(bits).view(np.float32))


@inlined
def _magnitude(x: np.float32) -> np.float32:
    """Compute |x|, also of -0 and NaN."""
    return _from_bits(np.int32(_bits(x) & MAGNITUDE_BITS))


@inlined
def _with_sign(magnitude: np.float32, x: np.float32) -> np.float32:
    """Give a magnitude the sign of x: odd functions keep the sign of zero this way."""
    return _from_bits(np.int32(_bits(magnitude) | np.int32(_bits(x) & SIGN_BIT)))


@inlined
def mirrored(x: np.float32, sign: np.uint32) -> np.float32:
    """Compute x, or -x where the highest bit of ``sign`` is set; the others must not be."""
    return _from_bits(np.int32(_bits(x) ^ np.int32(sign)))


@inlined
def _power_of_two(n: np.int32) -> np.float32:
    """Build 2**n from its bits, for -126 <= n <= 127."""
    return _from_bits(np.int32(np.int32(n + EXPONENT_BIAS) << MANTISSA_BITS))


@inlined
def _power_of_rounded(rounded: np.float32) -> np.float32:
    """Build 2**n from n plus one of the rounders with a bias."""
    return _from_bits(np.int32(_bits(rounded) << MANTISSA_BITS))


@inlined
def _scale(x: np.float32, n: np.int32) -> np.float32:
    """Compute x·2**n in two steps, for an n or a result out of the normal range: only the last one rounds."""
    half = np.int32(n >> INT_ONE)
    return x * _power_of_two(half) * _power_of_two(np.int32(n - half))


@inlined
def _reduce(x: np.float32) -> tuple[np.int32, np.float32, np.float32]:
    """Split x = n·ln(2) + high + low, with |high| <= ln(2)/2 and low what rounding high has lost."""
    rounded = x * LOG2_E + ROUNDER
    n = rounded - ROUNDER
    exact = x - n * LN2_HIGH
    high = exact - n * LN2_LOW
    low = (exact - high) - n * LN2_LOW
    return np.int32(_bits(rounded) - ROUNDER_BITS), high, low


@inlined
def _exp_reduced(r: np.float32, low: np.float32) -> np.float32:
    """Compute exp(r + low) for |r| <= ln(2)/2 as a sum: 1 + r rounded, and all the small terms."""
    c = EXP_TERMS
    total = ONE + r
    lost = (ONE - total) + r
    return total + ((lost + low) + r * r * (c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * c[4])))))


@inlined
def _log_parts(x: np.float32) -> tuple[np.int32, np.float32]:
    """Split x = 2**k·(1 + f), with sqrt(1/2) <= 1 + f <= sqrt(2), for positive normal x."""
    bits = _bits(x)
    k = np.int32(np.int32(bits - SQRT_HALF_BITS) >> MANTISSA_BITS)
    return k, _from_bits(np.int32(bits - np.int32(k << MANTISSA_BITS))) - ONE


@inlined
def _log_reduced(f: np.float32, k: np.int32) -> np.float32:
    """Compute k·ln(2) + log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2): the largest parts are added last."""
    c = LOG_TERMS
    exponent = np.float32(k)
    upper = c[4] + f * (c[5] + f * (c[6] + f * (c[7] + f * c[8])))
    cubic = f * (c[0] + f * (c[1] + f * (c[2] + f * (c[3] + f * upper))))
    square = f * f
    return exponent * LN2_HIGH + (f + (square * cubic + (exponent * LN2_LOW - HALF * square)))


@scalar
def exp(x: np.float32) -> np.float32:
    """Compute eˣ = 2ⁿ·exp(r), with x = n·ln(2) + r.

    Within 0.8 ulp; inf above 88.72, subnormal below -87.34 and 0 below -103.97; exp(±0) = 1, exp(-inf) = 0.
    Source: Cody & Waite, chapter 6.
    """
    x = EXP_HIGHEST if x > EXP_HIGHEST else x
    x = EXP_LOWEST if x < EXP_LOWEST else x
    n, r, low = _reduce(x)
    return _scale(_exp_reduced(r, low), n)


@scalar
def expm1(x: np.float32) -> np.float32:
    """Compute eˣ - 1 = 2ⁿ·((1 - 2⁻ⁿ) + (exp(r) - 1)), with x = n·ln(2) + r.

    The sum of 1 - 2⁻ⁿ and r is kept in two parts, because they cancel when n = 1.
    Within 1.1 ulp; expm1(±0) = ±0, inf above 88.72, expm1(-inf) = -1.
    Source: Muller, on expm1 and on the error-free sum (Fast2Sum); Cody & Waite for the reduction.
    """
    c = EXPM1_TERMS
    reduced = EXP_HIGHEST if x > EXP_HIGHEST else x
    reduced = EXPM1_LOWEST if reduced < EXPM1_LOWEST else reduced
    n, r, low = _reduce(reduced)
    shift = EXPM1_LARGEST_SHIFT if n > EXPM1_LARGEST_SHIFT else n
    offset = ONE - _power_of_two(np.int32(-shift))
    total = offset + r
    lost = (offset - total) + r
    terms = r * r * (c[0] + r * (c[1] + r * (c[2] + r * (c[3] + r * (c[4] + r * c[5])))))
    result = _scale(total + ((lost + low) + terms), n)
    return x if _magnitude(x) < TINY else result


@scalar
def log(x: np.float32) -> np.float32:
    """Compute the natural logarithm: k·ln(2) + log(1 + f), with x = 2ᵏ·(1 + f).

    Within 0.9 ulp, subnormals included; log(±0) = -inf, log(inf) = inf, NaN below 0.
    Source: Cody & Waite, chapter 5 (with a polynomial in f for their rational function).
    """
    subnormal = x < SMALLEST_NORMAL
    k, f = _log_parts(x * TO_NORMAL if subnormal else x)
    result = _log_reduced(f, np.int32(k - (MANTISSA_BITS if subnormal else INT_ZERO)))
    result = result if x < INFINITY else x
    result = NAN if x < ZERO else result
    return -INFINITY if x == ZERO else result


@inlined
def log_normal(x: np.float32) -> np.float32:
    """Compute the natural logarithm of a positive normal number, as :func:`log` does."""
    k, f = _log_parts(x)
    return _log_reduced(f, k)


@inlined
def _log1p_finite(x: np.float32) -> np.float32:
    """Compute log(1 + x) = k·ln(2) + log(1 + f), with f = 2⁻ᵏx + (2⁻ᵏ - 1), for finite x > -1."""
    k = np.int32(np.int32(_bits(ONE + x) - SQRT_HALF_BITS) >> MANTISSA_BITS)
    # k can be 128: the scale is built four times as large to be a normal number.
    scale = _power_of_two(np.int32(INT_TWO - k))
    f = (QUARTER * x) * scale + (QUARTER * scale - ONE)
    result = _log_reduced(f, k)
    return x if _magnitude(x) < TINY else result


@scalar
def log1p(x: np.float32) -> np.float32:
    """Compute log(1 + x) = k·ln(2) + log(1 + f), with 1 + x = 2ᵏ·(1 + f) and f computed without 1 + x.

    Within 1.5 ulp; log1p(±0) = ±0, log1p(-1) = -inf, log1p(inf) = inf, NaN below -1.
    Source: Muller, on log1p; Cody & Waite, chapter 5, for the reduction.
    """
    result = _log1p_finite(x)
    result = result if x < INFINITY else x
    result = NAN if x < -ONE else result
    return -INFINITY if x == -ONE else result


@scalar
def tanh(x: np.float32) -> np.float32:
    """Compute tanh(x) = 1 - 2/(exp(2|x|) + 1) with the sign of x, or an odd polynomial for |x| < 0.55.

    The power is 2ⁿ·2ᶠ with 2|x|·log2(e) = n + f: from 0.55 on, not a third of its error reaches the result.
    Within 1.9 ulp; tanh(±0) = ±0, tanh(±inf) = ±1.
    Source: Cody & Waite, chapter 13; Abramowitz & Stegun 4.5.3.
    """
    c, p = TANH_TERMS, EXP2_TERMS
    a = _magnitude(x)
    square = a * a
    small = a + a * square * (c[0] + square * (c[1] + square * (c[2] + square * c[3])))
    clipped = TANH_LARGEST if a > TANH_LARGEST else a
    rounded = clipped * LOG2_E_TWICE + EXPONENT_ROUNDER
    f = clipped * LOG2_E_TWICE - (rounded - EXPONENT_ROUNDER)
    power = ONE + f * (p[0] + f * (p[1] + f * (p[2] + f * (p[3] + f * (p[4] + f * p[5])))))
    large = ONE - TWO / (power * _power_of_rounded(rounded) + ONE)
    return _with_sign(small if a < TANH_SMALL else large, x)


@scalar
def sigmoid(x: np.float32) -> np.float32:
    """Compute 1/(1 + exp(-x)), as e/(1 + e) with e = exp(-|x|) for x < 0, so that e cannot overflow.

    What rounding 1 + e has lost corrects the quotient, to first order.
    Within 2 ulp, subnormal results included; sigmoid(-inf) = 0, sigmoid(inf) = 1.
    Source: the definition, that is (1 + tanh(x/2))/2 by Abramowitz & Stegun 4.5.3.
    """
    c = EXP_TERMS
    a = -_magnitude(x)
    a = EXP_LOWEST if a < EXP_LOWEST else a
    rounded = a * LOG2_E + RAISED_ROUNDER
    n = rounded - RAISED_ROUNDER
    r = (a - n * LN2_HIGH) - n * LN2_LOW
    square = r * r
    power = ONE + (r + square * ((c[0] + r * c[1]) + square * ((c[2] + r * c[3]) + square * c[4])))
    e = power * _power_of_rounded(rounded) * LOWER_AGAIN
    denominator = ONE + e
    lost = (ONE - denominator) + e
    quotient = (ONE if x >= ZERO else e) / denominator
    return quotient - quotient * lost * (RECIPROCAL_OFFSET - RECIPROCAL_SLOPE * denominator)


@scalar
def softplus(x: np.float32) -> np.float32:
    """Compute log(1 + eˣ) = max(x, 0) + log1p(exp(-|x|)).

    Within 1.8 ulp, subnormal results included; softplus(-inf) = 0, softplus(inf) = inf.
    Source: the identity log(1 + eˣ) = x + log(1 + e⁻ˣ); exp and log1p as above.
    """
    a = -_magnitude(x)
    a = EXP_LOWEST if a < EXP_LOWEST else a
    n, r, low = _reduce(a)
    return (x if x > ZERO else ZERO) + _log1p_finite(_scale(_exp_reduced(r, low), n))


@scalar
def erf(x: np.float32) -> np.float32:
    """Compute erf(x) = 1 - exp(p(|x|)) with the sign of x, or an odd polynomial for |x| < 1.

    p approximates log(erfc(|x|)).
    Within 1.3 ulp; erf(±0) = ±0, erf(±inf) = ±1.
    Source: Abramowitz & Stegun 7.1.1, 7.1.2 (the definitions) and 7.1.5 (erf is odd, and its series).
    """
    c, p = ERF_TERMS, LOG_ERFC_TERMS
    a = _magnitude(x)
    square = a * a
    upper = c[3] + square * (c[4] + square * (c[5] + square * c[6]))
    small = a + a * (c[0] + square * (c[1] + square * (c[2] + square * upper)))
    t = ERF_LARGEST if a > ERF_LARGEST else a
    n, r, low = _reduce(p[0] + t * (p[1] + t * (p[2] + t * (p[3] + t * (p[4] + t * (p[5] + t * p[6]))))))
    large = ONE - _exp_reduced(r, low) * _power_of_two(n)
    return _with_sign(small if a < ERF_SMALL else large, x)
