"""How names and instances are looked up, for every kind of thing that has a table."""

import pytest

from fastmlp import activations, initializers, losses, optimizers, regularizers

MODULES = [activations, initializers, losses, optimizers, regularizers]
IDS = [module.__name__.split(".")[1] for module in MODULES]


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_every_name_makes_a_new_instance_of_its_class(module):
    for name, kind in module.TABLE.items():
        found = module.get(name)
        assert type(found) is kind
        assert module.get(found) is found


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_a_class_is_no_instance(module):
    for kind in module.TABLE.values():
        with pytest.raises(TypeError, match=rf"did you mean {kind.__name__}\(\)\?$"):
            module.get(kind)


def test_a_function_of_a_known_name():
    with pytest.raises(TypeError, match=r"activation must be a name .*did you mean 'relu'\?$"):
        activations.get(activations.relu)
    with pytest.raises(TypeError, match=r"of type function$"):
        activations.get(lambda z: z)


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_what_is_neither_a_name_nor_an_instance(module):
    with pytest.raises(TypeError, match=r"must be a name or an instance such as .*\), got 3 of type int$"):
        module.get(3)
