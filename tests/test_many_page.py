"""docs/many.md: its programs run, in their order, as far as what they need is installed."""

import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "many.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
pytestmark = pytest.mark.jit_only


def needs(block):
    return [name for name in ("optuna", "dask", "distributed") if name in block]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """What the blocks without further libraries leave behind; those with them run on copies of it."""
    names = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hasn't converged.*")
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in BLOCKS:
            if not needs(block):
                exec(compile(block, "many.md", "exec"), names)
    return names


def test_the_page_does_what_it_says(space):
    assert len(space["fits"]) == 3
    assert space["fits"].errors == {}
    assert space["ensemble"].spread(space["outside"]) > space["ensemble"].spread(space["inside"])
    assert (space["again"].predict(space["x"]) == space["ensemble"].predict(space["x"])).all()
    assert space["classifier"].oob_score_ > 0.6
    for search in (space["by_grid"], space["by_chance"], space["by_halves"]):
        assert search.best_score_ > 0


@pytest.mark.skipif(find_spec("optuna") is None, reason="needs optuna")
def test_optuna(space):
    names = dict(space)
    for block in BLOCKS:
        if "optuna" in block:
            exec(compile(block, "many.md", "exec"), names)
    study = names["study"]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 12
    assert study.best_value == min(trial.value for trial in study.trials)


@pytest.mark.skipif(find_spec("distributed") is None, reason="needs dask[distributed]")
@pytest.mark.filterwarnings("ignore:.*hasn't converged.*", "ignore::DeprecationWarning")
def test_dask(space):
    names = dict(space)
    before = names["classifier"].predict_proba(names["x"])
    (block,) = [block for block in BLOCKS if "distributed" in block]
    exec(compile(block, "many.md", "exec"), names)
    here = names["fit_many"](names["model"], names["x"], names["y"], seeds=range(6), epochs=5, verbose=0)
    assert names["fits"].errors == {}
    for one, other in zip(names["fits"], here, strict=True):
        assert one.history.history == other.history.history
        for got, expected in zip(one.model.get_weights(), other.model.get_weights(), strict=True):
            assert got.tobytes() == expected.tobytes()
    assert (names["classifier"].predict_proba(names["x"]) == before).all()
    assert names["search"].best_params_ == names["by_grid"].best_params_


def test_every_block_is_of_one_test():
    assert [needs(block) for block in BLOCKS if needs(block)] == [["optuna"], ["optuna"], ["dask", "distributed"]]
