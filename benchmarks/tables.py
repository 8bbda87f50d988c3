"""How well ``fastmlp.tabular.train`` does beside scikit-learn: ``python -m benchmarks.tables``.

``--page docs/command-line.md`` writes the table. All sides get the same columns; for scikit-learn, dates are made
numbers here, as it has nothing for them, and targets are standardised.
"""

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import sklearn
from sklearn import datasets
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fastmlp import tabular

from .report import conditions, insert

MIXED_ROWS = 4000
FIRST_DAY = np.datetime64("2020-01-01")


def mixed(*, classes: bool) -> pd.DataFrame:
    """Return rows with a date, 60 categories, missing cells and a long tail."""
    generator, n = np.random.default_rng(1), MIXED_ROWS
    income = np.exp(generator.normal(10, 1, n))
    age = generator.integers(18, 80, n).astype(float)
    cities = [f"c{k}" for k in range(60)]
    city = generator.choice(cities, n)
    job = generator.choice(["clerk", "farmer", "nurse", "boss"], n, p=[0.5, 0.2, 0.25, 0.05])
    day = FIRST_DAY + generator.integers(0, 1400, n)
    effect = dict(zip(cities, generator.normal(0, 0.7, 60), strict=True))
    score = 1.2 * np.sin(pd.DatetimeIndex(day).month.to_numpy() / 6 * np.pi) + np.log(income) - 10 + 0.03 * (age - 50)
    score += 2 * (job == "boss") + np.array([effect[name] for name in city]) + 1.5 * ((age > 60) & (job == "nurse"))
    age[generator.random(n) < 0.15] = np.nan
    job = np.where(generator.random(n) < 0.1, None, job.astype(object))
    score += generator.normal(0, 0.5, n)
    target = np.where(score > np.quantile(score, 0.7), "yes", "no") if classes else 100 + 30 * score
    return pd.DataFrame(
        {"income": income, "age": age, "city": city, "job": job, "day": day.astype(str), "target": target}
    )


def tables() -> Iterator[tuple[str, pd.DataFrame, bool]]:
    """Yield names, tables, and whether their target is classes."""
    for name in ("iris", "wine", "breast_cancer", "diabetes", "digits"):
        frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
        classes = name != "diabetes"
        yield name.replace("_", " "), frame.assign(target=frame["target"].astype(str)) if classes else frame, classes
    yield "mixed, two classes", mixed(classes=True), True
    yield "mixed", mixed(classes=False), False


def as_polars(frame: pd.DataFrame) -> pl.DataFrame:
    """Return a table with nulls for what is missing."""
    cells = frame.astype(object).where(frame.notna(), None)
    return pl.DataFrame({name: cells[name].tolist() for name in cells})


def for_scikit_learn(frame: pd.DataFrame) -> pd.DataFrame:
    """Return columns without the target, dates as a month and a day, missing texts as a text."""
    columns = frame.drop(columns="target")
    if "day" in columns:
        days = pd.DatetimeIndex(columns.pop("day"))
        columns = columns.assign(month=days.month.astype(str), days=(days - pd.Timestamp(FIRST_DAY)).days)
    texts = columns.select_dtypes(exclude="number").columns
    return columns.assign(**{name: columns[name].astype(object).fillna("?") for name in texts})


def scores(frame: pd.DataFrame, seed: int, *, classes: bool) -> list[float]:
    """Return the test scores of train, MLP and boosting for a split."""
    train, test = train_test_split(
        frame, test_size=0.25, random_state=seed, stratify=frame["target"] if classes else None
    )
    model = tabular.train(as_polars(train), "target", seed=seed, verbose=0)
    found = [model.score(as_polars(test)).model["accuracy" if classes else "R2"]]
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    encoding = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), make_column_selector(dtype_exclude="number")),
    )
    y, y_test = train["target"], test["target"]
    if not classes:
        y, y_test = (y - y.mean()) / y.std(), (y_test - y.mean()) / y.std()
    kinds = (
        (MLPClassifier, HistGradientBoostingClassifier) if classes else (MLPRegressor, HistGradientBoostingRegressor)
    )
    for kind, options in zip(kinds, ({"max_iter": 500}, {}), strict=True):
        pipeline = make_pipeline(encoding, kind(random_state=seed, **options))
        found.append(pipeline.fit(for_scikit_learn(train), y).score(for_scikit_learn(test), y_test))
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Print a line for each table, and write all of them into a page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description="Tables, beside scikit-learn.")
    parser.add_argument("--splits", type=int, default=4, help="random splits of each table (default: %(default)s)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the table into a file between its markers")
    options = parser.parse_args(given)
    if options.page:
        insert(options.page, None, "tables")
    # the defaults of training were chosen with splits 0 to 2 of some of these tables, so those are not judged by
    seeds = range(100, 100 + options.splits)
    warnings.simplefilter("ignore", ConvergenceWarning)
    lines = [
        "| table | rows | `train` | `MLPClassifier`, `MLPRegressor` | histogram gradient boosting |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, frame, classes in tables():
        found = np.array([scores(frame, seed, classes=classes) for seed in seeds])
        cells = [f"{each.mean():.3f} ± {each.std():.3f}" for each in found.T]
        lines.append(f"| {name}{'' if classes else ', R2'} | {len(frame):,} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(
        [*lines, "", f"{options.splits} splits; scikit-learn {sklearn.__version__}; {conditions()['date']}."]
    )
    print(text)
    if options.page:
        insert(options.page, text, "tables")
    return 0


if __name__ == "__main__":
    sys.exit(main())
