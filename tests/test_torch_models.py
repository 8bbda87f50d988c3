"""Models from PyTorch and back, with the same predictions."""

import numpy as np
import pytest

import fastmlp
from fastmlp import Dense, Input, Sequential, activations, errors, layers

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402

K = 7
X = np.random.default_rng(0).normal(0, 2, (13, K)).astype(np.float32)

MODULES = [
    nn.ELU(0.5), nn.GELU(), nn.GELU("tanh"), nn.Hardsigmoid(), nn.LeakyReLU(), nn.LeakyReLU(-0.3), nn.Mish(), nn.ReLU(),
    nn.SELU(), nn.SiLU(), nn.Sigmoid(), nn.Softmax(-1), nn.Softmax(1), nn.Softplus(), nn.Softsign(), nn.Tanh(),
]  # fmt: skip
# modules on K features
NETWORKS = {
    "no bias": lambda: [nn.Linear(K, 3, bias=False), nn.Linear(3, 1)],
    "float64": lambda: [nn.Linear(K, 3).double(), nn.Linear(3, 1).double()],
    "activation first and twice": lambda: [nn.Tanh(), nn.Linear(K, 3), nn.ReLU(), nn.Sigmoid()],
    "nested": lambda: [nn.Sequential(nn.Linear(K, 4), nn.Identity(), nn.Sequential(nn.ReLU())), nn.Linear(4, 2)],
    "dropout": lambda: [nn.Dropout(0.3), nn.Linear(K, 4), nn.Dropout(), nn.ReLU(), nn.Linear(4, 2)],
    "flatten": lambda: [nn.Flatten(), nn.Linear(K, 2)],
    "batch normalization": lambda: [nn.BatchNorm1d(K, 1e-3, 0.3), nn.Linear(K, 4), nn.BatchNorm1d(4, affine=False)],
    "layer normalization": lambda: [
        nn.LayerNorm(K, 1e-3), nn.Linear(K, 4), nn.LayerNorm(4, bias=False),
        nn.LayerNorm((4,), elementwise_affine=False),
    ],
}  # fmt: skip


def randomise(network):
    """Weights and averages as after a training."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.2)
    return network


def outputs(network, x):
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    with torch.no_grad():
        return network.eval()(torch.from_numpy(x).to(dtype)).numpy()


def close(got, expected, name=""):
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5, err_msg=str(name))


def there_and_back(network, x, **options):
    model = fastmlp.from_torch(network, **options)
    close(model.predict(x), outputs(network, x), network)
    again = fastmlp.to_torch(model)
    assert type(again) is nn.Sequential
    assert not again.training
    close(outputs(again, x), outputs(network, x), again)
    return model


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    there_and_back(randomise(nn.Sequential(*NETWORKS[name]())), X)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_activations(module):
    torch.manual_seed(0)
    model = there_and_back(nn.Sequential(nn.Linear(K, 9), module, nn.Linear(9, 2)), X)
    assert len(model.layers) == 2, "an activation belongs to the layer below"


@pytest.mark.parametrize("name", [name for name in activations.TABLE if name != "exponential"])
def test_every_activation_has_a_module(name):
    model = Sequential([Input(shape=(K,)), Dense(9, name), layers.Activation(name)], seed=0)
    close(outputs(fastmlp.to_torch(model), X), model.predict(X))


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_normalizations(center, scale):
    options = {"center": center, "scale": scale}
    model = Sequential(
        [Input(shape=(K,)), layers.BatchNormalization(0.7, 0.01, **options), layers.LayerNormalization(**options)]
    )
    model.set_weights([np.linspace(0.5, 2, K) + i for i in range(len(model.get_weights()))])
    network = fastmlp.to_torch(model)
    close(outputs(network, X), model.predict(X))
    trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert trained == 2 * K * (center + scale)


def test_settings_come_along():
    model = fastmlp.from_torch(nn.Sequential(nn.Dropout(0.25), nn.BatchNorm1d(3, 0.01, 0.3), nn.LayerNorm(3, 0.1)))
    dropout, batch, rows = model.layers
    assert (dropout.rate, batch.momentum, batch.epsilon, rows.epsilon) == (0.25, 0.7, 0.01, 0.1)
    again = fastmlp.to_torch(model)
    assert (again[0].p, again[1].momentum, again[1].eps, again[2].eps) == (0.25, pytest.approx(0.3), 0.01, 0.1)


def test_images():
    x = np.random.default_rng(0).normal(0, 1, (5, 2, 4, 3)).astype(np.float32)
    network = nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Linear(24, 3), nn.Softmax(-1))
    there_and_back(network, x, input_shape=(2, 4, 3))


def test_weights_are_copies():
    network = nn.Sequential(nn.Linear(K, 2))
    model = fastmlp.from_torch(network)
    again = fastmlp.to_torch(model)
    before = model.predict(X)
    with torch.no_grad():
        network[0].weight.zero_()
        again[0].weight.zero_()
    assert (model.predict(X) == before).all()


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.PReLU(), "these modules have one: BatchNorm1d, Dropout"),
        (nn.ReLU6(), "ReLU6"),
        (nn.Softplus(beta=2), "beta must be 1"),
        (nn.Softplus(threshold=15), r"Softplus\(.* threshold must be at least 16"),
        (nn.Softmax(0), "dim must be given, and be 1 or -1"),
        (nn.Softmax(), r"Softmax\(dim=None\).*dim must be given"),
        (nn.BatchNorm1d(2, eps=0), r"BatchNorm1d\(2, .*eps must be greater than 0"),
        (nn.LayerNorm(2, eps=0), r"LayerNorm\(\(2,\), .*eps must be greater than 0"),
        (nn.Flatten(2), "start_dim"),
        (nn.BatchNorm1d(2, track_running_stats=False), "running averages"),
        (nn.BatchNorm1d(2, momentum=None), "momentum"),
        (nn.LayerNorm((2, 2)), "normalized_shape"),
        (nn.Conv1d(1, 1, 1), "Conv1d"),
        (nn.Dropout(1.0), r"Dropout\(p=1\.0.*leave it out"),
        (nn.Linear(3, 2), r"in_features=3.* gets 2 features"),
    ],
)
def test_modules_without_counterpart(module, message):
    with pytest.raises(ValueError, match=message):
        fastmlp.from_torch(nn.Sequential(nn.Linear(4, 2), module))


def hooked(hook):
    def make():
        module = nn.Linear(4, 2)
        getattr(module, hook)(lambda *arguments: None)
        return module

    return make


def with_forward():
    module = nn.ReLU()
    module.forward = lambda x: x
    return module


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (hooked("register_forward_hook"), "forward hooks"),
        (hooked("register_forward_pre_hook"), "forward hooks"),
        (lambda: nn.utils.spectral_norm(nn.Linear(4, 2)), "forward hooks"),
        (lambda: prune.l1_unstructured(nn.Linear(4, 2), "weight", 1), "forward hooks"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 2)), "parametrizations"),
        (with_forward, "a forward of its own"),
    ],
)
def test_what_is_done_to_modules_from_outside_is_refused(make, message):
    with pytest.raises(ValueError, match=rf"module '1\.0' \(.*\) has {message}"):
        fastmlp.from_torch(nn.Sequential(nn.Linear(4, 4), nn.Sequential(make())))
    whole = nn.Sequential(nn.Linear(4, 4))
    whole.register_forward_hook(lambda *arguments: None)
    with pytest.raises(ValueError, match="the network has forward hooks"):
        fastmlp.from_torch(whole)


def test_a_large_threshold_makes_no_difference():
    x = np.linspace(-30, 40, 10_000, dtype=np.float32)[:, None]
    network = nn.Sequential(nn.Linear(1, 1), nn.Softplus(threshold=16))
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[0].bias.zero_()
    there_and_back(network, x)


def test_frozen_layers_require_no_gradient():
    model = Sequential([Input(shape=(K,)), Dense(3), layers.BatchNormalization(), Dense(2)], seed=0)
    model.layers[0].trainable = model.layers[1].trainable = False
    needed = [parameter.requires_grad for parameter in fastmlp.to_torch(model).parameters()]
    assert needed == [False, False, False, False, True, True]


def test_what_is_refused():
    class Scaled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Twice(nn.Sequential):
        def forward(self, x):
            return super().forward(super().forward(x))

    with pytest.raises(ValueError, match="no counterpart"):
        fastmlp.from_torch(nn.Sequential(Scaled(2, 2)))
    for other in (nn.Linear(2, 2), Twice(nn.Linear(2, 2)), "network"):
        with pytest.raises(TypeError, match=r"must be a torch.nn.Sequential"):
            fastmlp.from_torch(other)
    with pytest.raises(ValueError, match="input_shape is needed"):
        fastmlp.from_torch(nn.Sequential(nn.ReLU()))
    with pytest.raises(TypeError, match=r"must be a fastmlp.Sequential"):
        fastmlp.to_torch(Dense(2))
    with pytest.raises(errors.NotBuiltError):
        fastmlp.to_torch(Sequential([Dense(2)]))


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Rescaling(2.0),
        lambda: layers.Normalization(0.0, 1.0),
        lambda: layers.GaussianNoise(0.1),
        lambda: layers.Residual([Dense(4)]),
        lambda: Dense(3, "exponential"),
        lambda: Dense(3, activations.Custom(lambda z: z, lambda z, a: 1.0, name="tanh")),
    ],
)
def test_layers_without_counterpart(layer):
    with pytest.raises(ValueError, match=r"no counterpart in torch\.nn"):
        fastmlp.to_torch(Sequential([Input(shape=(4,)), layer()]))
