"""The float64 NumPy twin of the library: plain formulas, no speed, nothing imported from fastmlp.

Conventions are those of Keras 3; paths in the comments, such as ``keras/src/losses/losses.py``, are where
its sources define them. B is the batch size, K the fan in and N the fan out of a layer.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import erf

EPSILON = 1e-7  # keras.config.epsilon()


# --- 1. Activations ---------------------------------------------------------------------------------------
# Names, parameters and defaults: keras/src/activations/activations.py. The derivative of a function f is d_f;
# ACTIVATION_BACKWARD multiplies it by da. At a kink at 0 the derivative is the one of the left-hand side
# (relu'(0) = 0, leaky_relu'(0) = negative_slope, elu'(0) = alpha).


def linear(z):
    return z.copy()


def d_linear(z):
    return np.ones_like(z)


# 1 / (1 + exp(-z)), with the exponential of a non-positive number only.
def sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


# s' = s(z) (1 - s(z)) = s(z) s(-z); the latter does not cancel.
def d_sigmoid(z):
    return sigmoid(z) * sigmoid(-z)


def tanh(z):
    return np.tanh(z)


# 1 - tanh(z)^2 = 4 s(2z) s(-2z); the latter does not cancel.
def d_tanh(z):
    return 4 * sigmoid(2 * z) * sigmoid(-2 * z)


def relu(z):
    return np.maximum(z, 0.0)


def d_relu(z):
    return np.where(z > 0, 1.0, 0.0)


# Clevert et al. 2015, arXiv:1511.07289.
def elu(z, alpha=1.0):
    return np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def d_elu(z, alpha=1.0):
    return np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0.0)))


# Klambauer et al. 2017, arXiv:1706.02515.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(z):
    return SELU_SCALE * elu(z, SELU_ALPHA)


def d_selu(z):
    return SELU_SCALE * d_elu(z, SELU_ALPHA)


# log(1 + exp(z))
def softplus(z):
    return np.logaddexp(0.0, z)


def d_softplus(z):
    return sigmoid(z)


# exp(z) / sum(exp(z)) over the last axis, shifted by the row's maximum.
def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


# Keras 3 has negative_slope=0.2 (Keras 2's layer had 0.3).
def leaky_relu(z, negative_slope=0.2):
    return np.where(z > 0, z, negative_slope * z)


def d_leaky_relu(z, negative_slope=0.2):
    return np.where(z > 0, 1.0, negative_slope)


# Hendrycks and Gimpel 2016, arXiv:1606.08415: z Phi(z), or the authors' approximation by tanh.
def gelu(z, approximate=False):
    if approximate:
        return 0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
    return 0.5 * z * (1 + erf(z / math.sqrt(2)))


# Phi(z) + z phi(z); the product rule for the approximation.
def d_gelu(z, approximate=False):
    if approximate:
        u = math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)
        du = math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * z**2)
        return 0.5 * (1 + np.tanh(u)) + 0.5 * z * d_tanh(u) * du
    return 0.5 * (1 + erf(z / math.sqrt(2))) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


# Ramachandran et al. 2017, arXiv:1710.05941 (swish).
def silu(z):
    return z * sigmoid(z)


def d_silu(z):
    return sigmoid(z) + z * d_sigmoid(z)


def softsign(z):
    return z / (1 + np.abs(z))


def d_softsign(z):
    return 1 / (1 + np.abs(z)) ** 2


# Keras 3: relu6(z + 3) / 6 (Keras 2 had 0.2 z + 0.5).
def hard_sigmoid(z):
    return np.clip(z + 3, 0.0, 6.0) / 6


def d_hard_sigmoid(z):
    return np.where((z > -3) & (z < 3), 1 / 6, 0.0)


# Infinite above about 709.78, as float64 is.
def exponential(z):
    with np.errstate(over="ignore"):
        return np.exp(z)


def d_exponential(z):
    return exponential(z)


# Misra 2019, arXiv:1908.08681: z tanh(softplus(z)).
def mish(z):
    return z * np.tanh(softplus(z))


def d_mish(z):
    return np.tanh(softplus(z)) + z * d_tanh(softplus(z)) * sigmoid(z)


ACTIVATIONS = {
    "linear": linear,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "elu": elu,
    "selu": selu,
    "softplus": softplus,
    "softmax": softmax,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "silu": silu,
    "softsign": softsign,
    "hard_sigmoid": hard_sigmoid,
    "exponential": exponential,
    "mish": mish,
}


def elementwise_backward(derivative):
    return lambda z, da, **parameters: da * derivative(z, **parameters)


# The Jacobian is diag(a) - a a^T in every row.
def softmax_backward(z, da):
    a = softmax(z)
    return a * (da - np.sum(da * a, axis=-1, keepdims=True))


ACTIVATION_BACKWARD = {
    "linear": elementwise_backward(d_linear),
    "sigmoid": elementwise_backward(d_sigmoid),
    "tanh": elementwise_backward(d_tanh),
    "relu": elementwise_backward(d_relu),
    "elu": elementwise_backward(d_elu),
    "selu": elementwise_backward(d_selu),
    "softplus": elementwise_backward(d_softplus),
    "softmax": softmax_backward,
    "leaky_relu": elementwise_backward(d_leaky_relu),
    "gelu": elementwise_backward(d_gelu),
    "silu": elementwise_backward(d_silu),
    "softsign": elementwise_backward(d_softsign),
    "hard_sigmoid": elementwise_backward(d_hard_sigmoid),
    "exponential": elementwise_backward(d_exponential),
    "mish": elementwise_backward(d_mish),
}


# --- 2. Losses --------------------------------------------------------------------------------------------
# keras/src/losses/losses.py. Every function returns the losses of the samples (B,) and, in row i, the
# gradient of sample i's loss with respect to its own output (B, N).


def mean_squared_error(y, out):
    return np.mean((out - y) ** 2, axis=1), 2 * (out - y) / out.shape[1]


def mean_absolute_error(y, out):
    return np.mean(np.abs(out - y), axis=1), np.sign(out - y) / out.shape[1]


# e^2 / 2 where |e| <= delta, delta |e| - delta^2 / 2 elsewhere.
def huber(y, out, delta=1.0):
    e = out - y
    small = np.abs(e) <= delta
    values = np.where(small, 0.5 * e**2, delta * np.abs(e) - 0.5 * delta**2)
    return np.mean(values, axis=1), np.where(small, e, delta * np.sign(e)) / out.shape[1]


# log cosh(e) = |e| + log(1 + exp(-2 |e|)) - log 2
def log_cosh(y, out):
    e = out - y
    values = np.abs(e) + np.log1p(np.exp(-2 * np.abs(e))) - math.log(2)
    return np.mean(values, axis=1), np.tanh(e) / out.shape[1]


def poisson(y, out):
    values = out - y * np.log(out + EPSILON)
    return np.mean(values, axis=1), (1 - y / (out + EPSILON)) / out.shape[1]


# Keras clips probabilities to [epsilon, 1 - epsilon]; clipping passes the gradient inside, bounds included.
def clip_probabilities(p):
    return np.clip(p, EPSILON, 1 - EPSILON), (p >= EPSILON) & (p <= 1 - EPSILON)


# From logits: -y log s(z) - (1 - y) log(1 - s(z)) = softplus(z) - y z, which cancels for y = 1 and large z;
# hence max(z, 0) - y z + log(1 + exp(-|z|)).
def binary_crossentropy(y, out, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        values = np.maximum(out, 0.0) - y * out + np.log1p(np.exp(-np.abs(out)))
        derivative = sigmoid(out) - y
    else:
        p, inside = clip_probabilities(out)
        values = -y * np.log(p) - (1 - y) * np.log(1 - p)
        derivative = np.where(inside, (1 - y) / (1 - p) - y / p, 0.0)
    return np.mean(values, axis=1), derivative / out.shape[1]


def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


# From probabilities Keras divides each row by its sum, then clips (keras/src/backend/numpy/nn.py):
# p = out / s, dl/d(out_i) = (dl/dp_i - sum_j p_j dl/dp_j) / s.
def categorical_crossentropy(y, out, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / out.shape[1]
    if from_logits:
        derivative = softmax(out) * y.sum(axis=1, keepdims=True) - y
        return -np.sum(y * log_softmax(out), axis=1), derivative
    total = out.sum(axis=1, keepdims=True)
    ratio = out / total
    p, inside = clip_probabilities(ratio)
    dp = np.where(inside, -y / p, 0.0)
    derivative = (dp - np.sum(ratio * dp, axis=1, keepdims=True)) / total
    return -np.sum(y * np.log(p), axis=1), derivative


def sparse_categorical_crossentropy(y, out, from_logits=False):
    one_hot = np.eye(out.shape[1])[np.asarray(y).astype(int).reshape(-1)]
    return categorical_crossentropy(one_hot, out, from_logits=from_logits)


# tfp.stats / sklearn.metrics.mean_pinball_loss: q (y - p) where the output is too low, (1 - q) (p - y) where too high.
def quantile(y, out, q=0.5):
    low, high = np.maximum(y - out, 0.0), np.maximum(out - y, 0.0)
    return np.mean(q * low + (1 - q) * high, axis=1), (np.where(out > y, 1 - q, 0.0) - q * (y > out)) / out.shape[1]


# Keras takes 0 and 1 for -1 and 1.
def hinge(y, out):
    y = np.where(y == 0, -1.0, y)
    return np.mean(np.maximum(1 - y * out, 0.0), axis=1), np.where(y * out < 1, -y, 0.0) / out.shape[1]


# From logits nothing is cut; 0 log 0 = 0.
def kl_divergence(y, out, from_logits=False):
    if from_logits:
        entropy = np.sum(y * np.log(np.where(y > 0, y, 1.0)), axis=1)
        return entropy - np.sum(y * log_softmax(out), axis=1), softmax(out) * y.sum(axis=1, keepdims=True) - y
    y, p = np.clip(y, EPSILON, 1.0), np.clip(out, EPSILON, 1.0)
    return np.sum(y * np.log(y / p), axis=1), np.where((out >= EPSILON) & (out <= 1), -y / p, 0.0)


# (1 - p_t)^gamma times the cross-entropy, 1 - p_t = y (1 - p) + (1 - y) p. Keras goes through probabilities also from
# logits; here all is a function of log s(z) and log s(-z) then. 1 - p_t is at least epsilon, which Keras' is not.
def binary_focal_crossentropy(
    y, out, apply_class_balancing=False, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0
):
    y = y * (1 - label_smoothing) + 0.5 * label_smoothing
    weight = y * alpha + (1 - y) * (1 - alpha) if apply_class_balancing else 1.0
    if from_logits:
        log_p, log_not_p = -np.logaddexp(0, -out), -np.logaddexp(0, out)
        with np.errstate(divide="ignore"):
            log_missing = np.logaddexp(np.log(y) + log_not_p, np.log(1 - y) + log_p)
        entropy, slope = -y * log_p - (1 - y) * log_not_p, sigmoid(out) - y
        relative = (1 - 2 * y) * np.exp(log_p + log_not_p - log_missing)
    else:
        p, inside = clip_probabilities(out)
        entropy = -y * np.log(p) - (1 - y) * np.log(1 - p)
        slope = np.where(inside, (1 - y) / (1 - p) - y / p, 0.0)
        missing = y * (1 - out) + (1 - y) * out
        relative = np.where(missing >= EPSILON, (1 - 2 * y), 0.0) / np.maximum(missing, EPSILON)
        log_missing = np.log(np.maximum(missing, EPSILON))
    factor = weight * np.exp(gamma * log_missing)
    return np.mean(factor * entropy, axis=1), factor * (slope + gamma * relative * entropy) / out.shape[1]


def categorical_focal_crossentropy(y, out, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0):
    y = y * (1 - label_smoothing) + label_smoothing / out.shape[1]
    if from_logits:
        inside, log_p = True, log_softmax(out)
        p = np.exp(log_p)
        others = np.array([[np.logaddexp.reduce(np.delete(row, j)) for j in range(len(row))] for row in log_p])
    else:
        total = out.sum(axis=1, keepdims=True)
        ratio = out / total
        p, inside = clip_probabilities(ratio)
        log_p, others = np.log(p), np.log(1 - p)
    factor = alpha * np.exp(gamma * others)
    # log(p) / (1 - p) is -1 to 13 digits for p > 1 - e^-30
    relative = np.where(others < -30, -1.0, log_p / np.exp(np.maximum(others, -30.0)))
    # p dl/dp, so that a probability of 0 divides nothing
    part = np.where(inside, factor * y * (gamma * p * relative - 1), 0.0)
    if from_logits:
        derivative = part * np.exp(others) - p * (part.sum(axis=1, keepdims=True) - part)
    else:
        derivative = part / ratio / total - part.sum(axis=1, keepdims=True) / total
    return -np.sum(factor * y * log_p, axis=1), derivative


LOSSES = {
    "quantile": quantile,
    "hinge": hinge,
    "kl_divergence": kl_divergence,
    "binary_focal_crossentropy": binary_focal_crossentropy,
    "categorical_focal_crossentropy": categorical_focal_crossentropy,
    "mean_squared_error": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "poisson": poisson,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}


# Reduction "sum_over_batch_size", keras/src/losses/loss.py: sum(w_i l_i) / B, not divided by sum(w_i).
def settings(loss):
    """The arguments of a loss' formula."""
    return {argument: value for argument, value in vars(loss).items() if argument != "name"}


def loss_value_and_gradient(name, y, out, *, weights=None, **parameters):
    out = np.asarray(out, dtype=np.float64)
    if name != "sparse_categorical_crossentropy":
        y = np.asarray(y, dtype=np.float64).reshape(out.shape)
    B = len(out)
    w = np.ones(B) if weights is None else np.asarray(weights, dtype=np.float64).reshape(B)
    per_sample, derivative = LOSSES[name](y, out, **parameters)
    return per_sample, float(np.sum(w * per_sample) / B), w[:, None] * derivative / B


# --- 3. Metrics -------------------------------------------------------------------------------------------
# keras/src/metrics/accuracy_metrics.py and keras/src/metrics/regression_metrics.py


def binary_accuracy(y, out, threshold=0.5):
    return float(np.mean(y == (out > threshold)))


def categorical_accuracy(y, out):
    return sparse_categorical_accuracy(np.argmax(y, axis=1), out)


def sparse_categorical_accuracy(y, out):
    return float(np.mean(np.reshape(y, -1) == np.argmax(out, axis=1)))


def top_k_categorical_accuracy(y, out, k=5):
    return sparse_top_k_categorical_accuracy(np.argmax(y, axis=1), out, k)


# in_top_k, keras/src/backend/numpy/math.py: a class tied with the k-th largest output is in.
def sparse_top_k_categorical_accuracy(y, out, k=5):
    chosen = np.take_along_axis(out, np.reshape(y, (-1, 1)).astype(int), axis=1)
    return float(np.mean(np.sum(out > chosen, axis=1) < k))


def mse(y, out):
    return float(np.mean((out - y) ** 2))


def rmse(y, out):
    return math.sqrt(mse(y, out))


def mae(y, out):
    return float(np.mean(np.abs(out - y)))


# 1 - residual / total per column, infinities replaced by 0, then the plain mean; 0 / 0 stays NaN as in Keras.
def r2(y, out):
    residual = np.sum((y - out) ** 2, axis=0)
    total = np.sum((y - np.mean(y, axis=0)) ** 2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scores = 1 - residual / total
    return float(np.mean(np.where(np.isinf(scores), 0.0, scores)))


def mape(y, out):
    return float(np.mean(100 * np.abs(y - out) / np.maximum(np.abs(y), EPSILON)))


# keras/src/metrics/confusion_metrics.py: positive above the threshold, and with top_k only the first of the largest.
def confusion(y, out, threshold=0.5, top_k=None, class_id=None, weights=None):
    positive = out > threshold
    if top_k is not None:
        order = np.argsort(-out, axis=1, kind="stable")
        positive &= np.argsort(order, axis=1, kind="stable") < top_k
    true = np.asarray(y) != 0
    w = np.ones(len(out)) if weights is None else np.asarray(weights, dtype=np.float64)
    if class_id is not None:
        positive, true = positive[:, [class_id]], true[:, [class_id]]
    sides = (positive & true, positive & ~true, ~positive & true, ~positive & ~true)
    return [float(np.sum(side * w[:, None])) for side in sides]


def precision(y, out, **settings):
    tp, fp, _, _ = confusion(y, out, **settings)
    return tp / (tp + fp) if tp else 0.0


def recall(y, out, **settings):
    tp, _, fn, _ = confusion(y, out, **settings)
    return tp / (tp + fn) if tp else 0.0


# keras/src/metrics/f_score_metrics.py, without the epsilons in its divisions; the columns' scores.
def f1_score(y, out, threshold=None, weights=None):
    w = np.ones((len(out), 1)) if weights is None else weights[:, None]
    largest = (out >= out.max(axis=1, keepdims=True)) & (np.abs(out) > 1e-9)
    positive = largest if threshold is None else out > threshold
    tp, fp, fn = (np.sum(w * part, axis=0) for part in (positive * y, positive * (1 - y), (1 - positive) * y))
    p, r = (np.divide(tp, tp + other, out=np.zeros(len(tp)), where=tp > 0) for other in (fp, fn))
    return np.divide(2 * p * r, p + r, out=np.zeros(len(tp)), where=tp > 0)


# keras/src/metrics/confusion_metrics.py, class AUC: counts at every threshold anew.
def auc(y, out, num_thresholds=200, curve="ROC", summation_method="interpolation", weights=None):
    inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
    table = [
        confusion(y, out, threshold=np.float64(np.float32(t)), weights=weights) for t in [-EPSILON, *inner, 1 + EPSILON]
    ]
    tp, fp, fn, tn = np.array(table).T
    area = 0.0
    for i in range(len(tp) - 1):
        if curve == "PR" and summation_method == "interpolation":
            dtp, dp = tp[i] - tp[i + 1], tp[i] + fp[i] - tp[i + 1] - fp[i + 1]
            slope = dtp / dp if dp else 0.0
            intercept = tp[i + 1] - slope * (tp[i + 1] + fp[i + 1])
            both = tp[i] + fp[i] > 0 and tp[i + 1] + fp[i + 1] > 0
            log = math.log((tp[i] + fp[i]) / (tp[i + 1] + fp[i + 1])) if both else 0.0
            area += slope * (dtp + intercept * log) / (tp[i + 1] + fn[i + 1])
            continue
        x, height = [], []
        for k in (i, i + 1):
            rate, share = tp[k] / (tp[k] + fn[k]), tp[k] / (tp[k] + fp[k]) if tp[k] else 0.0
            x.append(fp[k] / (fp[k] + tn[k]) if curve == "ROC" else rate)
            height.append(rate if curve == "ROC" else share)
        methods = {"interpolation": np.mean, "minoring": min, "majoring": max}
        area += (x[0] - x[1]) * methods[summation_method](height)
    return float(area)


METRICS = {
    "precision": precision,
    "recall": recall,
    "f1_score": f1_score,
    "auc": auc,
    "mape": mape,
    "binary_accuracy": binary_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
    "mse": mse,
    "rmse": rmse,
    "mae": mae,
    "r2": r2,
}


# --- 4. Optimizers ----------------------------------------------------------------------------------------


# keras/src/optimizers/base_optimizer.py: clip, then decay every variable, then update it. The learning rate is a
# number, or a function of the batches before this one.
class Optimizer:
    def __init__(
        self,
        learning_rate,
        *,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        gradient_accumulation_steps=None,
    ):
        if sum(option is not None for option in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError("only one of clipnorm, clipvalue and global_clipnorm can be set")
        self.schedule = learning_rate if callable(learning_rate) else lambda batches: learning_rate
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.batches = 0
        self.iterations = 0  # of the present update, from 1
        self.slots = {}

    # An array the shape of parameter i, kept from step to step.
    def slot(self, name, i, w, start=0.0):
        return self.slots.setdefault((name, i), np.full_like(w, start))

    def clip(self, gradients):
        if self.clipnorm is not None:
            return [g * self.clipnorm / max(np.sqrt(np.sum(g**2)), self.clipnorm) for g in gradients]
        if self.global_clipnorm is not None:
            norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
            return [g * self.global_clipnorm / max(norm, self.global_clipnorm) for g in gradients]
        if self.clipvalue is not None:
            return [np.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        return gradients

    # A batch that does not complete its gradients changes no parameter, but the averages.
    def step(self, parameters, gradients):
        if any(w.dtype != np.float64 for w in parameters):
            raise TypeError("the twin trains float64 arrays only")
        together = self.gradient_accumulation_steps or 1
        self.learning_rate = self.schedule(self.batches)
        self.iterations = self.batches // together + 1
        self.batches += 1
        totals = [self.slot("total", i, w) for i, w in enumerate(parameters)]
        for total, g in zip(totals, gradients, strict=True):
            total += g
        if self.batches % together == 0:
            means = self.clip([total / together for total in totals])
            for i, (w, g) in enumerate(zip(parameters, means, strict=True)):
                if self.weight_decay is not None:
                    w -= w * self.weight_decay * self.learning_rate
                self.update(i, w, g)
                totals[i][...] = 0
        if self.use_ema:
            for i, w in enumerate(parameters):
                average, momentum = self.slot("average", i, w), self.ema_momentum * (self.iterations > 1)
                average[...] = momentum * average + (1 - momentum) * w
            if self.ema_overwrite_frequency and self.iterations % self.ema_overwrite_frequency == 0:
                self.finish(parameters)

    # finalize_variable_values, at the end of fit
    def finish(self, parameters):
        if self.use_ema:
            for i, w in enumerate(parameters):
                w[...] = self.slot("average", i, w)

    def update(self, i, w, g):
        raise NotImplementedError


# keras/src/optimizers/sgd.py
class SGD(Optimizer):
    def __init__(self, learning_rate=0.01, momentum=0.0, nesterov=False, **common):
        super().__init__(learning_rate, **common)
        self.momentum = momentum
        self.nesterov = nesterov

    def update(self, i, w, g):
        if self.momentum == 0:
            w -= self.learning_rate * g
            return
        velocity = self.slot("velocity", i, w)
        velocity[...] = self.momentum * velocity - self.learning_rate * g
        if self.nesterov:
            w += self.momentum * velocity - self.learning_rate * g
        else:
            w += velocity


# keras/src/optimizers/adam.py; Kingma and Ba 2014, arXiv:1412.6980, the form before section 2.1 with its
# "epsilon hat".
class Adam(Optimizer):
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, amsgrad=False, **common):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def update(self, i, w, g):
        t = self.iterations
        m = self.slot("m", i, w)
        v = self.slot("v", i, w)
        m[...] = self.beta_1 * m + (1 - self.beta_1) * g
        v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
        if self.amsgrad:
            v_hat = self.slot("v_hat", i, w)
            v_hat[...] = np.maximum(v_hat, v)
            v = v_hat
        alpha = self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        w -= alpha * m / (np.sqrt(v) + self.epsilon)


# keras/src/optimizers/adamw.py: Adam with a default weight decay.
class AdamW(Adam):
    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-7,
        amsgrad=False,
        **common,
    ):
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **common)


# keras/src/optimizers/rmsprop.py: epsilon is under the root.
class RMSprop(Optimizer):
    def __init__(self, learning_rate=0.001, rho=0.9, momentum=0.0, epsilon=1e-7, centered=False, **common):
        super().__init__(learning_rate, **common)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def update(self, i, w, g):
        velocity = self.slot("velocity", i, w)
        velocity[...] = self.rho * velocity + (1 - self.rho) * g**2
        denominator = velocity + self.epsilon
        if self.centered:
            average = self.slot("average", i, w)
            average[...] = self.rho * average + (1 - self.rho) * g
            denominator = velocity - average**2 + self.epsilon
        increment = self.learning_rate * g / np.sqrt(denominator)
        if self.momentum > 0:
            momentum = self.slot("momentum", i, w)
            momentum[...] = self.momentum * momentum + increment
            increment = momentum
        w -= increment


# keras/src/optimizers/adagrad.py: epsilon is under the root.
class Adagrad(Optimizer):
    def __init__(self, learning_rate=0.001, initial_accumulator_value=0.1, epsilon=1e-7, **common):
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def update(self, i, w, g):
        accumulator = self.slot("accumulator", i, w, self.initial_accumulator_value)
        accumulator += g**2
        w -= self.learning_rate * g / np.sqrt(accumulator + self.epsilon)


# keras/src/optimizers/nadam.py: update t has the momentum beta_1 (1 - 0.96^t / 2); their product corrects the bias.
class Nadam(Optimizer):
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7, **common):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def update(self, i, w, g):
        t = self.iterations
        m = self.slot("m", i, w)
        v = self.slot("v", i, w)
        u = [self.beta_1 * (1 - 0.5 * 0.96**k) for k in range(1, t + 2)]
        m[...] = self.beta_1 * m + (1 - self.beta_1) * g
        v[...] = self.beta_2 * v + (1 - self.beta_2) * g**2
        m_hat = u[t] * m / (1 - math.prod(u)) + (1 - u[t - 1]) * g / (1 - math.prod(u[:t]))
        v_hat = v / (1 - self.beta_2**t)
        w -= self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)


# keras/src/optimizers/lion.py
class Lion(Optimizer):
    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, **common):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def update(self, i, w, g):
        m = self.slot("m", i, w)
        w -= self.learning_rate * np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        m[...] = self.beta_2 * m + (1 - self.beta_2) * g


# Learning rates of step 0, 1, 2...: keras/src/optimizers/schedules/learning_rate_schedule.py.
def exponential_decay(step, initial, decay_steps, decay_rate, staircase=False):
    p = step // decay_steps if staircase else step / decay_steps
    return initial * decay_rate**p


def inverse_time_decay(step, initial, decay_steps, decay_rate, staircase=False):
    p = step // decay_steps if staircase else step / decay_steps
    return initial / (1 + decay_rate * p)


def polynomial_decay(step, initial, decay_steps, end=0.0001, power=1.0, cycle=False):
    if cycle:
        decay_steps = decay_steps * (math.ceil(step / decay_steps) if step else 1)
    return (initial - end) * (1 - min(step, decay_steps) / decay_steps) ** power + end


def piecewise_constant_decay(step, boundaries, values):
    return values[sum(step > boundary for boundary in boundaries)]


def cosine_decay(step, initial, decay_steps, alpha=0.0, warmup_target=None, warmup_steps=0):
    if warmup_target is not None:
        if step < warmup_steps:
            return (warmup_target - initial) * step / warmup_steps + initial
        step, initial = step - warmup_steps, warmup_target
    cosine = 0.5 * (1 + math.cos(math.pi * min(step, decay_steps) / decay_steps))
    return initial * ((1 - alpha) * cosine + alpha)


# Period by period, in place of Keras' logarithm.
def cosine_decay_restarts(step, initial, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0):
    start, length, height = 0, first_decay_steps, 1.0
    while step >= start + length:
        start, length, height = start + length, length * t_mul, height * m_mul
    cosine = 0.5 * height * (1 + math.cos(math.pi * (step - start) / length))
    return initial * ((1 - alpha) * cosine + alpha)


# --- 5. Regularizers --------------------------------------------------------------------------------------
# keras/src/regularizers/regularizers.py, class L1L2 (no factor 1/2).


def penalty(w, l1=0.0, l2=0.0):
    return float(l1 * np.sum(np.abs(w)) + l2 * np.sum(w**2))


def penalty_gradient(w, l1=0.0, l2=0.0):
    return l1 * np.sign(w) + 2 * l2 * w


# --- 6. Network -------------------------------------------------------------------------------------------


class Layer(NamedTuple):
    kernel: np.ndarray  # (K, N)
    bias: np.ndarray | None = None  # (N,)
    activation: str = "linear"
    activation_parameters: dict | None = None
    kernel_l1: float = 0.0
    kernel_l2: float = 0.0
    bias_l1: float = 0.0
    bias_l2: float = 0.0


# keras/src/layers/core/dense.py: a = activation(x kernel + bias).
def forward(layers, x):
    pairs = []
    a = np.asarray(x, dtype=np.float64)
    for layer in layers:
        z = a @ layer.kernel
        if layer.bias is not None:
            z = z + layer.bias
        a = ACTIVATIONS[layer.activation](z, **(layer.activation_parameters or {}))
        pairs.append((z, a))
    return pairs


def regularization(layers):
    total = 0.0
    for layer in layers:
        total += penalty(layer.kernel, layer.kernel_l1, layer.kernel_l2)
        if layer.bias is not None:
            total += penalty(layer.bias, layer.bias_l1, layer.bias_l2)
    return total


# These crossentropies are taken from z, with from_logits=True: no clipping and no renormalisation.
FUSED = {
    ("sigmoid", "binary_crossentropy"),
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("softmax", "kl_divergence"),
    ("sigmoid", "binary_focal_crossentropy"),
    ("softmax", "categorical_focal_crossentropy"),
}


# The batch loss without penalties, and its gradient with respect to the last z.
def output_loss(layer, z, a, y, loss, *, weights=None, **parameters):
    if (layer.activation, loss) in FUSED and not parameters.get("from_logits", False):
        _, value, dz = loss_value_and_gradient(loss, y, z, weights=weights, **{**parameters, "from_logits": True})
        return value, dz
    _, value, da = loss_value_and_gradient(loss, y, a, weights=weights, **parameters)
    return value, ACTIVATION_BACKWARD[layer.activation](z, da, **(layer.activation_parameters or {}))


# The batch loss including penalties, and (dw, db) of every layer; db is None where there is no bias.
def gradients(layers, x, y, loss, *, weights=None, **parameters):
    x = np.asarray(x, dtype=np.float64)
    pairs = forward(layers, x)
    value, dz = output_loss(layers[-1], *pairs[-1], y, loss, weights=weights, **parameters)
    result = []
    for i in reversed(range(len(layers))):
        layer = layers[i]
        below = x if i == 0 else pairs[i - 1][1]
        dw = below.T @ dz + penalty_gradient(layer.kernel, layer.kernel_l1, layer.kernel_l2)
        db = None
        if layer.bias is not None:
            db = dz.sum(axis=0) + penalty_gradient(layer.bias, layer.bias_l1, layer.bias_l2)
        result.insert(0, (dw, db))
        if i > 0:
            da = dz @ layer.kernel.T
            previous = layers[i - 1]
            backward = ACTIVATION_BACKWARD[previous.activation]
            dz = backward(pairs[i - 1][0], da, **(previous.activation_parameters or {}))
    return value + regularization(layers), result


# kernel, bias, kernel, bias, ... without the biases that are None.
def flatten(pairs):
    return [array for pair in pairs for array in pair[:2] if array is not None]


# batches yields (x, y) or (x, y, weights). Trains the layers' arrays in place; the losses are those before
# each update.
def train(layers, batches, loss, optimizer, **parameters):
    losses = []
    for x, y, *rest in batches:
        value, pairs = gradients(layers, x, y, loss, weights=rest[0] if rest else None, **parameters)
        optimizer.step(flatten(layers), flatten(pairs))
        losses.append(value)
    return losses


# --- 7. Initializers --------------------------------------------------------------------------------------
# keras/src/initializers/random_initializers.py, class VarianceScaling: the variance is scale / fan. Each
# function returns (bound, standard deviation) of the distribution that is drawn from: uniform within +-bound,
# or a normal cut at two of its own standard deviations, widened so that the cut one has the wanted deviation.

TRUNCATED_NORMAL_STDDEV = 0.87962566103423978  # of the standard normal cut at +-2


def variance_scaling(scale, mode, distribution):
    def limits(fan_in, fan_out):
        fan = {"fan_in": fan_in, "fan_avg": (fan_in + fan_out) / 2}[mode]
        stddev = math.sqrt(scale / max(1.0, fan))
        bound = stddev * math.sqrt(3) if distribution == "uniform" else 2 * stddev / TRUNCATED_NORMAL_STDDEV
        return bound, stddev

    return limits


INITIALIZER_LIMITS = {
    "glorot_uniform": variance_scaling(1.0, "fan_avg", "uniform"),
    "glorot_normal": variance_scaling(1.0, "fan_avg", "truncated_normal"),
    "he_uniform": variance_scaling(2.0, "fan_in", "uniform"),
    "he_normal": variance_scaling(2.0, "fan_in", "truncated_normal"),
    "lecun_uniform": variance_scaling(1.0, "fan_in", "uniform"),
    "lecun_normal": variance_scaling(1.0, "fan_in", "truncated_normal"),
}
