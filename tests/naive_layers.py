"""Layers in plain float64 NumPy, with gradients by hand: the twin of ``fastmlp.layers``.

Nothing here imports fastmlp. A layer's ``forward(x, training)`` keeps what its ``backward(da)`` needs; ``params`` and
``grads`` are lists of arrays in Keras' order of weights.
"""

import numpy as np

FUNCTIONS = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0) * 1.0),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
}


class Layer:
    params: list
    grads: list

    def __init__(self):
        self.params, self.grads, self.trainable = [], [], True


class Dense(Layer):
    def __init__(self, w, b):
        super().__init__()
        self.params = [w, b]

    def forward(self, x, training):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, da):
        self.grads = [self.x.T @ da, da.sum(axis=0)]
        return da @ self.params[0].T


class Activation(Layer):
    def __init__(self, name):
        super().__init__()
        self.value, self.slope = FUNCTIONS[name]

    def forward(self, x, training):
        self.x = x
        return self.value(x)

    def backward(self, da):
        return da * self.slope(self.x)


class Softmax(Layer):
    def forward(self, x, training):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        self.a = e / e.sum(axis=1, keepdims=True)
        return self.a

    def backward(self, da):
        return self.a * (da - (self.a * da).sum(axis=1, keepdims=True))


class Scale(Layer):
    """Constants: ``x * scale + offset``."""

    def __init__(self, scale, offset):
        super().__init__()
        self.scale, self.offset = scale, offset

    def forward(self, x, training):
        return x * self.scale + self.offset

    def backward(self, da):
        return da * self.scale


def standardise(x, axis, epsilon):
    mean, variance = x.mean(axis=axis, keepdims=True), x.var(axis=axis, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon), 1 / np.sqrt(variance + epsilon)


def standardise_backward(da, a, deviation, axis):
    return deviation * (da - da.mean(axis=axis, keepdims=True) - a * (a * da).mean(axis=axis, keepdims=True))


class BatchNormalization(Layer):
    def __init__(self, gamma, beta, mean, variance, momentum, epsilon):
        super().__init__()
        self.params = [gamma, beta, mean, variance]
        self.momentum, self.epsilon = momentum, epsilon

    def forward(self, x, training):
        self.by_batch = training and self.trainable
        if self.by_batch:
            self.a, self.deviation = standardise(x, 0, self.epsilon)
            for index, value in ((2, x.mean(axis=0)), (3, x.var(axis=0))):
                self.params[index] = self.momentum * self.params[index] + (1 - self.momentum) * value
        else:
            self.deviation = 1 / np.sqrt(self.params[3] + self.epsilon)
            self.a = (x - self.params[2]) * self.deviation
        return self.a * self.params[0] + self.params[1]

    def backward(self, da):
        self.grads = [(da * self.a).sum(axis=0), da.sum(axis=0), 0, 0]
        da = da * self.params[0]
        return standardise_backward(da, self.a, self.deviation, 0) if self.by_batch else da * self.deviation


class LayerNormalization(Layer):
    def __init__(self, gamma, beta, epsilon):
        super().__init__()
        self.params, self.epsilon = [gamma, beta], epsilon

    def forward(self, x, training):
        self.a, self.deviation = standardise(x, 1, self.epsilon)
        return self.a * self.params[0] + self.params[1]

    def backward(self, da):
        self.grads = [(da * self.a).sum(axis=0), da.sum(axis=0)]
        return standardise_backward(da * self.params[0], self.a, self.deviation, 1)


class Residual(Layer):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.params = [param for layer in layers for param in layer.params]

    def forward(self, x, training):
        a = x
        for layer in self.layers:
            a = layer.forward(a, training)
        return x + a

    def backward(self, da):
        inner = da
        for layer in reversed(self.layers):
            inner = layer.backward(inner)
        return da + inner


def all_layers(layers):
    for layer in layers:
        yield layer
        yield from all_layers(getattr(layer, "layers", []))


def weights(layers):
    """All weights of a stack, in order."""
    return [param for layer in all_layers(layers) if not hasattr(layer, "layers") for param in layer.params]


def forward(layers, x, training=False):
    for layer in layers:
        x = layer.forward(x, training)
    return x


def sgd_step(layers, x, y, rate, l2=0.0):
    """One step of gradient descent on the mean squared error; return the loss before it."""
    p = forward(layers, x, training=True)
    loss = ((p - y) ** 2).mean()
    da = 2 * (p - y) / p.size
    for layer in reversed(layers):
        da = layer.backward(da)
    for layer in all_layers(layers):
        if layer.trainable and not hasattr(layer, "layers"):
            layer.params = [
                param - rate * grad for param, grad in zip(layer.params, layer.grads, strict=True)
            ] or layer.params
    return loss
