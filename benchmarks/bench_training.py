"""Time of a training epoch, fastmlp against the NumPy baseline, for every case of the ladder."""

import pytest

from .cases import CASES, Trainers, check_equal


@pytest.mark.parametrize("implementation", ["fastmlp", "numpy"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_epoch(benchmark, case, implementation):
    trainers = Trainers(case)
    check_equal(trainers)
    benchmark.group = f"epoch {case.name}"
    benchmark.extra_info.update(table="training", row=case.name, implementation=implementation, calls=case.steps)
    benchmark(getattr(trainers, implementation))
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_step"] = benchmark.stats.stats.median * 1e6 / case.steps
