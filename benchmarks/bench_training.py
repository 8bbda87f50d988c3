"""Time of a training epoch, fastmlp against the NumPy baseline, for every rung of the ladder."""

import pytest

from fastmlp.ladder.agreement import EPOCHS, check_losses
from fastmlp.ladder.cases import RUNGS, make_data, start_weights
from fastmlp.ladder.sides import make_side

IMPLEMENTATIONS = ("fastmlp", "numpy")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("case", RUNGS, ids=lambda case: case.name)
def test_epoch(benchmark, case, implementation):
    (x, y), weights = make_data(case), start_weights(case)
    sides = {name: make_side(name, case, x, y, weights) for name in IMPLEMENTATIONS}
    check_losses(case, {name: side.train(EPOCHS) for name, side in sides.items()})
    benchmark.group = f"epoch {case.name}"
    benchmark.extra_info.update(table="training", row=case.name, implementation=implementation, calls=case.steps)
    benchmark(sides[implementation].train, 1)
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_step"] = benchmark.stats.stats.median * 1e6 / case.steps
