"""``python -m fastmlp train`` and ``predict``: what they write, and how every kind of bad input is told."""

import datetime
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastmlp import __main__ as command_line
from fastmlp import load_model
from fastmlp.kernels.jit import JIT_DISABLED

pl = pytest.importorskip("polars")
ROOT = Path(__file__).parent.parent
# quick, and enough for everything but good predictions
QUICK = ("--epochs", "2", "--hidden", "4")
FLOWERS = "length,width,colour,kind\n" + "".join(
    f"{k / 10},{(k * 7) % 11},{'red' if k % 3 else 'blue'},{'rose' if k < 15 else 'tulip'}\n" for k in range(30)
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowers.csv").write_text(FLOWERS)
    return tmp_path


def run(*arguments):
    return command_line.main([str(argument) for argument in arguments])


def train(data="flowers.csv", *arguments, target="kind", output="model.safetensors"):
    return run("train", data, "--target", target, "--output", output, *QUICK, *arguments)


def error_of(capsys, status, command="train"):
    """The one line that an error is."""
    assert status == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert lines, captured
    assert lines[-1].startswith(f"python -m fastmlp {command}: error: "), captured.err
    assert not any("Traceback" in line for line in lines)
    if command == "train":
        assert len(lines) == 1
    return lines[-1]


def test_a_model_is_written_and_predicts(folder, capsys):
    assert train() == 0
    printed = capsys.readouterr().out
    for text in (
        "binary, predicts 'kind' (2 different values: rose, tulip)",
        "24 to train, 6 to validate (20% drawn from each class alike)",
        "length, width: standardised",
        "colour: one-hot of 2 categories",
        "always rose",
        "Wrote",
        "python -m fastmlp predict model.safetensors new.csv",
    ):
        assert text in printed, printed
    assert run("predict", "model.safetensors", "flowers.csv", "--probabilities", "--keep", "length") == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == "length,prediction,probability of rose,probability of tulip"
    assert len(lines) == 31
    assert [line.split(",")[0] for line in lines[1:]] == [line.split(",")[0] for line in FLOWERS.splitlines()[1:]]
    for line in lines[1:]:
        _, prediction, rose, tulip = line.split(",")
        assert float(rose) + float(tulip) == pytest.approx(1, abs=2e-6)
        assert prediction == ("tulip" if float(tulip) > float(rose) else "rose")
    assert "Score (30 rows)" in captured.err
    assert load_model("model.safetensors").predict(np.zeros((1, 4))).shape == (1, 1)


def test_the_same_seed_gives_the_same_bytes(folder):
    files = []
    for seed in (0, 0, 1):
        assert train("flowers.csv", "--force", "--seed", str(seed), "--quiet") == 0
        files.append(Path("model.safetensors").read_bytes())
    assert files[0] == files[1] != files[2]


def test_columns_may_come_in_any_order_with_others_and_without_the_target(folder, capsys):
    assert train("flowers.csv", "--quiet") == 0
    frame = pl.read_csv("flowers.csv")
    frame.select("colour", pl.lit("x").alias("extra"), "width", "length").write_csv("new.csv")
    assert run("predict", "model.safetensors", "new.csv") == 0
    new = capsys.readouterr()
    assert "note: columns that the model does not use: extra" in new.err
    assert "Score" not in new.err
    assert run("predict", "model.safetensors", "flowers.csv", "--output", "out.parquet") == 0
    assert pl.read_parquet("out.parquet")["prediction"].to_list() == new.out.split()[1:]
    assert "Wrote out.parquet (30 rows)" in capsys.readouterr().err


def test_unseen_categories_are_counted(folder, capsys):
    assert train("flowers.csv", "--quiet") == 0
    text = FLOWERS.replace("blue", "green", 4)
    Path("new.csv").write_text(text)
    assert run("predict", "model.safetensors", "new.csv") == 0
    captured = capsys.readouterr()
    assert "note: column 'colour': 4 cells with unseen categories ('green'); taken as the average" in captured.err
    assert len(captured.out.splitlines()) == 31


def test_missing_cells_are_imputed_or_refused(folder, capsys):
    text = FLOWERS.replace("0.5,", ",", 1).replace("0.7,", "NA,", 1).replace("2.4,", "?,", 1)
    Path("gaps.csv").write_text(text)
    error = error_of(capsys, train("gaps.csv"))
    assert "column 'length' holds numbers, but row 25 has '?'; correct it" in error
    assert "--na" in error
    error = error_of(capsys, train("gaps.csv", "--na", "?", "--missing", "refuse"))
    assert "'gaps.csv' has missing cells, which are refused, in 'length' (3)" in error
    assert not Path("model.safetensors").exists()
    assert train("gaps.csv", "--na", "?") == 0
    assert "missing: median" in " ".join(capsys.readouterr().out.split())
    assert run("predict", "model.safetensors", "gaps.csv", "--na", "?", "--quiet") == 0
    assert train("flowers.csv", "--missing", "refuse", "--force", "--quiet") == 0
    capsys.readouterr()
    status = run("predict", "model.safetensors", "gaps.csv", "--na", "?")
    assert "refused, in 'length' (3)" in error_of(capsys, status, "predict")


def test_numbers_are_predicted_in_their_units(folder, capsys):
    lines = ["x,day,price", *(f"{k},2024-{k % 12 + 1:02}-{k % 28 + 1:02},{1000 + 10 * k}" for k in range(60))]
    Path("prices.csv").write_text("\n".join([*lines, "5,2024-01-01,"]))
    assert run("train", "prices.csv", "--target", "price", "--epochs", "10", "--hidden", "8") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "regression, predicts 'price' (60 different numbers)" in printed
    assert "1 without a target left out" in printed
    assert "read as YYYY-MM-DD: the day, and sine and cosine of month, weekday" in printed
    assert run("predict", "model.safetensors", "prices.csv") == 0
    captured = capsys.readouterr()
    predicted = [float(line) for line in captured.out.split()[1:]]
    assert len(predicted) == 61
    assert 1000 < np.mean(predicted) < 1600
    assert "Score (60 rows)" in captured.err
    assert "RMSE" in captured.err
    status = run("predict", "model.safetensors", "prices.csv", "--probabilities")
    assert "which have none" in error_of(capsys, status, "predict")


def rows(*lines):
    return "a,b,y\n" + "\n".join(lines) + "\n"


GOOD = [f"{k},{k * k % 7},{'u' if k % 2 else 'v'}" for k in range(20)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'bad.csv' is empty"),
        ("\n\n", "'bad.csv' is empty"),
        ("a,b,y\n", "has a line of names (a, b, y), but no row below it"),
        (rows("1,2,u"), "has 1 row; at least 10 are needed"),
        (rows(*GOOD).replace("v", "u"), "column 'y', the target, is 'u' in every row"),
        (rows(*GOOD).replace("u\n", "\n").replace("v\n", "\n"), "column 'y', the target, has no value in any row"),
        (rows(*GOOD, "x,1,u"), "column 'a' holds numbers, but row 21 has 'x'"),
        (rows(*GOOD, "x,1,u", "z,1,u"), "row 21 has 'x' (and 1 more row)"),
        ("a,y\n1,\n" + "1,0.5\n2,1.5\n3,2\n" * 9 + "1,x\n", "column 'y' holds numbers, but row 29 has 'x'"),
        (rows(*GOOD, "inf,1,u"), "column 'a' must have finite numbers, but row 21 has inf"),
        (rows(*GOOD).replace("a,b", "a,a"), "more than one column of the name 'a'"),
        (rows(*GOOD, "1,2"), "has 3 columns, but line 22 has 2 cells"),
        (rows(*GOOD, "1,2,u,5"), "has 3 columns, but line 22 has 4 cells"),
        (rows(*GOOD, '1,"2,u'), "line 22"),
        ("y\n" + "u\nv\n" * 10, "has no column to learn from"),
        ("a,y\n" + "1,u\n1,v\n" * 10, "no column to learn from beside the target: 'a' (the same in every row)"),
        (rows(*(f"{k % 5},1,n{k}" for k in range(30))), "column 'y' has 30 different values in 30 rows, too many"),
        (rows(*(f"{k % 5},1,2024-01-{k + 1:02}" for k in range(20))), "different values in 20 rows, too many"),
        ("a\x00,y\n1,u\n", "has 1 row"),
        (b"a,b,y\n1,2,caf\xe9\n", "is not in UTF-8: line 2 has the byte 0xe9"),
        (FLOWERS.encode("utf-16"), "is not in UTF-8: line 1"),
        (b"\x00\xff\x00", "is not in UTF-8"),
    ],
)  # fmt: skip
def test_bad_tables(folder, capsys, text, message):
    Path("bad.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert message in error_of(capsys, train("bad.csv", target="y"))
    assert sorted(path.name for path in Path().iterdir()) == ["bad.csv", "flowers.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["flower.csv", "--target", "kind"], "there is no file 'flower.csv'; did you mean 'flowers.csv'?"),
        (["no/flowers.csv", "--target", "kind"], "there is no folder 'no'"),
        ([".", "--target", "kind"], "must be a table with the ending"),
        (["flowers.xlsx", "--target", "kind"], "got '.xlsx'"),
        (["flowers.csv", "--target", "kin"], "has no column 'kin': did you mean 'kind'? Its columns are 'length', "),
        (["flowers.csv", "--target", "kind", "--exclude", "LENGHT"], "has no column 'LENGHT': did you mean 'length'"),
        (["flowers.csv", "--target", "kind", "--kind", "lenght=number"], "did you mean 'length'"),
        (["flowers.csv", "--target", "kind", "--kind", "length=numbr"], "did you mean number?"),
        (["flowers.csv", "--target", "kind", "--kind", "colour=number"], "column 'colour' holds numbers, but row 1"),
        (["flowers.csv", "--target", "kind", "--exclude", "kind"], "column 'kind' is the target"),
        (["flowers.csv", "--target", "kind", "--exclude", "length", "width", "colour"], "no column to learn from"),
        (["flowers.csv", "--target", "kind", "--task", "regression"], "holds numbers, but row 1 has 'rose'"),
        (["flowers.csv", "--target", "width", "--task", "binary"], "must have two classes for a binary task"),
        (["flowers.csv", "--target", "kind", "--output", "model.h5"], "must end in .safetensors"),
        (["flowers.csv", "--target", "kind", "--output", "no/model.safetensors"], "there is no folder 'no'"),
        (["flowers.csv", "--target", "kind", "--output", "old.safetensors"], "exists already; --force"),
        (["flowers.csv", "--target", "kin", "--output", "old.safetensors"], "has no column 'kin'"),
        (["flowers.csv", "--target", "kind", "--output", "folder.safetensors"], "is a folder"),
    ],
)  # fmt: skip
def test_bad_arguments(folder, capsys, arguments, message):
    Path("old.safetensors").write_text("old")
    Path("folder.safetensors").mkdir()
    assert message in error_of(capsys, run("train", *arguments))
    assert Path("old.safetensors").read_text() == "old"
    assert not Path("model.safetensors").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--validation", "1"],
        ["--validation", "x"],
        ["--hidden", "8,"],
        ["--hidden", "0"],
        ["--kind", "length"],
        ["--epochs", "0"],
    ],
    ids=" ".join,
)
def test_arguments_that_cannot_be_read(folder, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        train("flowers.csv", *arguments)
    assert stop.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_that_may_not_be_written_to(folder, capsys):
    Path("locked").mkdir()
    Path("locked").chmod(0o500)
    assert "no permission" in error_of(capsys, train(output="locked/model.safetensors"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["modle.safetensors", "flowers.csv"], "did you mean 'model.safetensors'"),
        (["flowers.csv", "flowers.csv"], "is no model or not whole"),
        (["network.safetensors", "flowers.csv"], "it was not written by fastmlp.tabular"),
        (["model.safetensors", "flower.csv"], "did you mean 'flowers.csv'?"),
        (["model.safetensors", "renamed.csv"], "'renamed.csv' has no column 'length': did you mean 'lenght'?"),
        (["model.safetensors", "mixed.csv"], "column 'length' holds numbers, but row 2 has 'long'"),
        (["model.safetensors", "flowers.csv", "--keep", "lengt"], "has no column 'lengt': did you mean 'length'"),
        (["model.safetensors", "flowers.csv", "--output", "out.xlsx"], "must have the ending .csv, .tsv or .parquet"),
        (["model.safetensors", "flowers.csv", "--output", "no/out.csv"], "there is no folder 'no'"),
        (["model.safetensors", "flowers.csv", "--output", "mixed.csv"], "exists already; --force"),
        (["model.safetensors", "flowers.csv", "--output", "flowers.csv", "--force"], "is a file that is read"),
    ],
)  # fmt: skip
def test_bad_predictions(folder, capsys, arguments, message):
    from fastmlp import Dense, Input, Sequential

    Sequential([Input((4,)), Dense(1)]).save("network.safetensors")
    Path("renamed.csv").write_text(FLOWERS.replace("length", "lenght"))
    Path("mixed.csv").write_text(FLOWERS.replace("0.1", "long"))
    assert train("flowers.csv", "--quiet") == 0
    assert message in error_of(capsys, run("predict", *arguments), "predict")
    assert Path("flowers.csv").read_text() == FLOWERS


def test_other_kinds_of_text_files(folder, capsys):
    assert train("flowers.csv", "--quiet") == 0
    run("predict", "model.safetensors", "flowers.csv")
    expected = capsys.readouterr().out
    frame = pl.read_csv("flowers.csv")
    frame.write_csv("flowers.tsv", separator="\t")
    frame.write_parquet("flowers.parquet")
    Path("mac.csv").write_bytes(FLOWERS.replace("\n", "\r").encode())
    Path("windows.csv").write_bytes(b"\xef\xbb\xbf" + FLOWERS.replace("\n", "\r\n").encode())
    Path("blank.csv").write_text(FLOWERS.replace("\n", "\n\n"))
    Path("spaces.csv").write_text(FLOWERS.replace(",", " , "))
    Path("german.csv").write_text(FLOWERS.replace(",", ";").replace(".", ","))
    for name in ("flowers.tsv", "flowers.parquet", "mac.csv", "windows.csv", "blank.csv", "spaces.csv", "german.csv"):
        assert run("predict", "model.safetensors", name) == 0, name
        captured = capsys.readouterr()
        assert captured.out == expected, name
        assert (name == "german.csv") == ("commas are decimal points in length" in captured.err)
    assert train("flowers.parquet", "--quiet", "--force") == 0
    run("predict", "model.safetensors", "flowers.csv")
    assert capsys.readouterr().out == expected


def test_every_type_of_parquet(folder, capsys):
    days = [datetime.date(2024, 1, 1) + datetime.timedelta(days=k) for k in range(30)]
    frame = pl.DataFrame(
        {
            "day": days,
            "zone": pl.Series(days).cast(pl.Datetime("ns")).dt.replace_time_zone("Europe/Berlin"),
            "span": [datetime.timedelta(hours=k % 9) for k in range(30)],
            "time": [datetime.time(k % 24) for k in range(30)],
            "money": pl.Series([f"{k % 7}.50" for k in range(30)]).cast(pl.Decimal(10, 2)),
            "large": pl.Series([2**63 + k % 5 for k in range(30)], dtype=pl.UInt64),
            "group": pl.Series(["a", "b", None] * 10, dtype=pl.Categorical),
            "level": pl.Series(["low", "high"] * 15, dtype=pl.Enum(["low", "high"])),
            "list": [[k] for k in range(30)],
            "bytes": [b"x", b"y"] * 15,
            "nan": [float("nan"), 1.5, 2.5] * 10,
            "flag": [True, False, None] * 10,
            "y": [float(k % 2) for k in range(30)],
        }
    )
    frame.write_parquet("types.parquet")
    assert train("types.parquet", target="y") == 0
    printed = " ".join(capsys.readouterr().out.split())
    for text in (
        "dropped time: cells of the type Time",
        "dropped list:",
        "dropped bytes:",
        "number span, money, large",
    ):
        assert text in printed, printed
    assert run("predict", "model.safetensors", "types.parquet") == 0
    captured = capsys.readouterr()
    assert set(captured.out.split()[1:]) <= {"0", "1"}
    assert "Score (30 rows)" in captured.err
    Path("bad.parquet").write_bytes(b"no parquet at all")
    assert "cannot be read as Parquet" in error_of(capsys, train("bad.parquet", "--force", target="y"))


def python(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *arguments], env=environment, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.jit_only
def test_in_processes_by_a_pipe(folder):
    process = python(
        "-m", "fastmlp", "train", "-", "--target", "kind", *QUICK, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    out, err = process.communicate(FLOWERS, timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "standard input (30 rows, 4 columns)" in out
    process = python("-m", "fastmlp", "predict", "model.safetensors", "flowers.csv", stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out.count("\n") == 31
    assert "Traceback" not in err


@pytest.mark.jit_only
def test_nobody_reads_the_predictions(folder):
    assert train("flowers.csv", "--quiet") == 0
    reader, writer = os.pipe()
    os.close(reader)
    process = python("-m", "fastmlp", "predict", "model.safetensors", "flowers.csv", "--quiet", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (141, "")


def test_without_polars(folder):
    code = (
        "import sys; sys.modules['polars'] = None\n"
        "from fastmlp.__main__ import main\n"
        "sys.exit(main(['train', 'flowers.csv', '--target', 'kind']))"
    )
    process = python("-c", code)
    _, err = process.communicate(timeout=300)
    message = 'tables need the package polars: pip install "fastmlp[cli]"'
    assert (process.returncode, err) == (2, f"python -m fastmlp train: error: {message}\n")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such signal for one process")
@pytest.mark.skipif(JIT_DISABLED, reason="about a process that trains")
def test_interrupted(folder):
    generator = np.random.default_rng(0)
    pl.DataFrame(
        {**{f"x{k}": generator.normal(size=20_000) for k in range(20)}, "y": generator.normal(size=20_000)}
    ).write_csv("big.csv")
    code = (
        "import sys\n"
        "from fastmlp import callbacks, fitting\n"
        "from fastmlp.__main__ import main\n"
        "from fastmlp.model import Sequential\n"
        "fit = Sequential.fit\n"
        "def told(self, *arguments, callbacks, **options):\n"
        "    from fastmlp.callbacks import LambdaCallback\n"
        "    tell = LambdaCallback(on_epoch_end=lambda epoch, logs: print('epoch', flush=True))\n"
        "    return fit(self, *arguments, callbacks=[*callbacks, tell], **options)\n"
        "Sequential.fit = told\n"
        "sys.exit(main(['train', 'big.csv', '--target', 'y', '--quiet', '--validation', '0', '--epochs', '100000']))"
    )
    process = python("-c", code, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "epoch\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "interrupted; nothing was written\n")
    assert sorted(path.name for path in Path().iterdir()) == ["big.csv", "flowers.csv"]


CELLS = st.one_of(
    st.sampled_from(
        ["", "NA", "1", "2.5", "-3", "1e400", "1e300", "inf", "nan", "x", "yes", "true", "2024-01-31", "31.12.2024",
         "2024-01-31 10:00", '"a,b"', '"', "é", " ", "0", "00", "1_0", "½", "\x00"]
    ),
    st.floats().map(str),
    st.text(alphabet="ab,\n\";\t é0.-", max_size=4),
)  # fmt: skip

COLUMNS = (st.dates().map(str), st.integers(-5, 10**20).map(str), st.sampled_from(["1", "2.5", ""]))


@st.composite
def messy_tables(draw):
    """Lines of cells: columns mostly of one kind each, sometimes of any, sometimes ragged."""
    width = draw(st.integers(1, 4))
    kinds = [
        draw(st.sampled_from([*map(st.sampled_from, ("12", "abc ")), st.just("7"), *COLUMNS, CELLS]))
        for _ in range(width)
    ]
    names = draw(st.lists(st.text(alphabet="abcy ,é", max_size=3), min_size=width, max_size=width, unique=True))
    height = draw(st.integers(0, 25))
    lines = [[draw(kind) for kind in kinds] for _ in range(height)]
    if draw(st.integers(0, 5)) == 0 and lines:
        lines[-1] = lines[-1][:-1]
    return "\n".join(",".join(line) for line in [[*names[:-1], "y"], *lines])


@settings(
    max_examples=12 if JIT_DISABLED else 150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@example(table="a,y\n" + "".join(f"{k},{k % 3}\n" for k in range(25)))
@given(table=messy_tables())
def test_no_table_ends_in_a_traceback(folder, capfd, table):
    Path("messy.csv").write_bytes(table.encode())
    status = run("train", "messy.csv", "--target", "y", "--force", "--epochs", "1", "--hidden", "2")
    captured = capfd.readouterr()
    assert status in (0, 2), captured
    assert "Traceback" not in captured.err
    if status:
        assert captured.err.count("\n") == 1
        return
    assert run("predict", "model.safetensors", "messy.csv") == 0
    assert "Traceback" not in capfd.readouterr().err
