"""The examples of the course: each runs, prints numbers that others come to as well, and draws a picture."""

import contextlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastmlp.kernels.jit import JIT_DISABLED

ROOT = Path(__file__).parent.parent
EXAMPLES = {file.name[:2]: file for file in sorted((ROOT / "examples").glob("[0-9]*.py"))}
PAGE = ROOT / "docs" / "course.md"
# those that train for more than a moment
SLOW = ("02", "04", "06", "08", "09", "10", "11")
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]\d+)?")

jit_only = pytest.mark.jit_only


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numbers(line):
    """Return the numbers of a line of output, without those that belong to a name."""
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def skeleton(text):
    """Return what is printed whatever the machine: the lines without numbers and widths."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs an example with a picture, once; gives its names, what it printed, and the picture."""
    plt = pytest.importorskip("matplotlib.pyplot")
    folder, done = tmp_path_factory.mktemp("pictures"), {}

    def once(number):
        if JIT_DISABLED and number in SLOW:
            pytest.skip("too slow without the JIT")
        if number not in done:
            picture, printed = folder / f"{number}.png", io.StringIO()
            with pytest.MonkeyPatch.context() as patch, plt.rc_context(), contextlib.redirect_stdout(printed):
                patch.setattr(sys, "argv", [str(EXAMPLES[number]), "--picture", str(picture)])
                patch.syspath_prepend(str(EXAMPLES[number].parent))
                names = runpy.run_path(str(EXAMPLES[number]), run_name="__main__")
            plt.close("all")
            text = printed.getvalue()
            assert text.endswith(f"\nThe picture is in {picture}\n")
            done[number] = SimpleNamespace(**names), text.rpartition("\nThe picture")[0], picture
        return done[number]

    return once


def line_of(text, start):
    """Return what follows the start of the only line that begins so."""
    (found,) = [line for line in text.splitlines() if line.startswith(start)]
    return found[len(start) :]


def test_there_are_eleven():
    assert list(EXAMPLES) == [f"{number:02}" for number in range(1, 12)]


@pytest.mark.parametrize("number", EXAMPLES)
def test_pictures_are_pictures(run, number):
    image = pytest.importorskip("PIL.Image")
    names, printed, picture = run(number)
    assert names.__doc__.startswith(f"{int(number)}. ")
    assert not re.search(r"\bnan\b", printed)
    assert max(map(len, printed.splitlines())) <= 110
    with image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.size) >= 250
        shades = np.asarray(drawn.convert("L"))
    # something is drawn, on white
    assert 0.001 < (shades < 128).mean() < 0.6


@pytest.mark.parametrize("number", EXAMPLES)
def test_the_page_shows_what_is_printed(run, number):
    """Numbers may differ in their last digits from machine to machine, and times do; all else is the same."""
    _, printed, _ = run(number)
    part = PAGE.read_text(encoding="utf-8").split(f"<!-- {number}: begin -->")[1].split(f"<!-- {number}: end -->")[0]
    assert f"python examples/{EXAMPLES[number].name} " in part
    shown = re.search(r"```text\n(.*?)\n```", part, re.DOTALL)[1]
    assert skeleton(shown) == skeleton(printed)
    picture = PAGE.parent / re.search(r"\((course/\d\d\.png)\)", part)[1]
    assert 1000 < picture.stat().st_size <= 60_000


# --- what the examples say --------------------------------------------------------------------------------


def test_errors(run):
    names, printed, _ = run("01")
    squares = [(predicted - true) ** 2 for true, predicted in zip(names.TRUE, names.PREDICTED, strict=True)]
    assert [numbers(line)[3] for line in printed.splitlines()[1:6]] == pytest.approx(squares, abs=0.005)
    mse = sum(squares) / len(squares)
    for name in ("by hand", "NumPy", "fastmlp", "scikit-learn"):
        assert numbers(line_of(printed, name)) == pytest.approx([mse, mse**0.5], abs=1e-6)


def test_perceptrons(run):
    names, printed, _ = run("02")
    for gate, y in names.GATES.items():
        *_, wrong, _ = numbers(line_of(printed, f"{gate} "))
        assert (wrong == 0) == (gate != "XOR")
        assert ((names.models[gate].predict(names.INPUTS)[:, 0] > 0.5) == y).sum() == 4 - wrong
    w1, b1, w2, b2 = names.xor.get_weights()
    outputs = sigmoid(np.tanh(names.INPUTS @ w1 + b1) @ w2 + b2)[:, 0]
    lines = printed.splitlines()[-4:]
    assert [numbers(line)[2] for line in lines] == pytest.approx(list(outputs), abs=6e-4)
    assert [numbers(line)[3] for line in lines] == [numbers(line)[4] for line in lines] == [0, 1, 1, 0]


def test_no_line_separates_xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    grid = np.linspace(-2, 2, 41)
    w1, w2, b = (side.ravel() for side in np.meshgrid(grid, grid, grid))
    answers = (x @ np.array([w1, w2]) + b > 0).T
    assert (answers == [0, 0, 0, 1]).all(axis=1).any()
    assert not (answers == [0, 1, 1, 0]).all(axis=1).any()


def test_forward_propagation(run):
    names, printed, _ = run("03")
    z1 = names.X @ np.array(names.WEIGHTS_1) + names.BIASES_1
    z2 = sigmoid(z1) @ np.array(names.WEIGHTS_2) + names.BIASES_2
    for name, values in (
        ("layer 1 z", z1),
        ("layer 1 a", sigmoid(z1)),
        ("layer 2 z", z2),
        ("layer 2 a", sigmoid(z2)),
    ):
        assert numbers(line_of(printed, name)) == pytest.approx([*values, *values], abs=6e-5)


def test_coffee(run):
    names, printed, _ = run("04")
    celsius, minutes = names.x.T
    good = (celsius > 175) & (minutes > 12) & (minutes < 21 - 3 / 85 * celsius)
    w1, b1, w2, b2 = names.model.get_weights()[-4:]
    scaled = (names.x - names.x.mean(axis=0)) / names.x.std(axis=0)
    probability = sigmoid(sigmoid(scaled @ w1 + b1) @ w2 + b2)[:, 0]
    np.testing.assert_allclose(names.probability, probability, atol=1e-3)
    right = ((probability >= 0.5) == good).mean()
    assert right >= 0.98
    assert numbers(line_of(printed, "right"))[0] == pytest.approx(100 * right, abs=0.06)
    assert numbers(line_of(printed, "from_logits"))[0] < 1e-4
    nearest_to_1 = float(np.float32(1) - np.float32(1e-7))
    for line in printed.splitlines()[-5:]:
        z, exact, from_probability, from_logit = numbers(line)
        assert exact == pytest.approx(np.logaddexp(0, z), abs=6e-5)
        assert from_logit == pytest.approx(exact, abs=1e-4)
        clipped = min(float(sigmoid(z)), nearest_to_1)
        assert from_probability == pytest.approx(-np.log1p(-clipped), rel=2e-4)


def test_activations(run):
    special = pytest.importorskip("scipy.special")
    names, printed, _ = run("05")
    table = printed.partition("\n\n")[0]
    for name, derivative_at_1 in (
        ("sigmoid", special.expit(1) * special.expit(-1)),
        ("tanh", 1 / np.cosh(1) ** 2),
        ("ReLU", 1),
        ("ELU  ", 1),
        ("SELU     ", names.SELU_SCALE),
        ("softplus  ", special.expit(1)),
    ):
        *_, derivative, by_differences, library = numbers(line_of(table, name))
        assert derivative == pytest.approx(derivative_at_1, abs=6e-5)
        assert by_differences < 1e-8
        assert library < 1e-6
    assert names.softmax == pytest.approx(special.softmax([1, 2, 3]))
    assert names.jacobian.sum(axis=1) == pytest.approx([0, 0, 0])
    assert numbers(line_of(printed, "SELU       "))[-1] == pytest.approx(1, abs=0.01)
    assert numbers(line_of(printed, "ELU, "))[-1] < 0.95


def test_digits(run):
    measure = pytest.importorskip("sklearn.metrics")
    names, printed, _ = run("06")
    w1, b1, w2, b2 = (array.astype(float) for array in names.model.get_weights())
    z = np.maximum(0, names.x_test @ w1 + b1) @ w2 + b2
    a = np.exp(z - z.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    expected = measure.log_loss(names.y_test, a)
    for start in ("mean of -log(a_y)", "the loss that evaluate gives"):
        assert numbers(line_of(printed, start))[-1] == pytest.approx(expected, rel=1e-4)
    assert (a.argmax(axis=1) == names.y_test).mean() == pytest.approx(names.accuracy, abs=0.003)
    assert names.accuracy > 0.93
    assert measure.recall_score(names.is_zero, names.says_zero) > 0.95
    for line in printed.splitlines()[-8:-2]:
        number, _, answer, own, minus_log = numbers(line.replace("-log", ""))
        assert minus_log == pytest.approx(-np.log(a[int(number), names.y_test[int(number)]]), rel=0.01, abs=2e-4)
        assert own == pytest.approx(np.exp(-minus_log), abs=2e-4)
        assert answer == a[int(number)].argmax()


def test_backpropagation(run):
    names, printed, _ = run("07")
    # a derivative that is neither the chain rule by hand nor a difference: the step is imaginary
    by_w1 = names.loss_of(names.W1 + 1e-20j, names.W2).imag / 1e-20
    by_w2 = names.loss_of(names.W1, names.W2 + 1e-20j).imag / 1e-20
    assert numbers(line_of(printed, "dL/dw1")) == pytest.approx([by_w1] * 3, abs=2e-6)
    assert numbers(line_of(printed, "dL/dw2")) == pytest.approx([by_w2] * 3, abs=2e-6)
    stepped = names.W1 - names.LEARNING_RATE * by_w1, names.W2 - names.LEARNING_RATE * by_w2
    assert numbers(line_of(printed, "w1  ")) == pytest.approx([stepped[0]] * 2, abs=2e-6)
    assert numbers(line_of(printed, "w2  ")) == pytest.approx([stepped[1]] * 2, abs=2e-6)
    assert numbers(line_of(printed, "loss  ")) == pytest.approx([names.loss_of(*stepped)] * 2, abs=2e-6)
    assert numbers(line_of(printed, "model.check_gradients"))[0] < 1e-3


def test_vanishing_gradients(run):
    names, printed, _ = run("08")
    sigmoids, *others = (np.array(norms) for norms in names.norms.values())
    assert (sigmoids[1:] > 2 * sigmoids[:-1]).all()
    assert sigmoids[-1] / sigmoids[0] > 1e4
    for norms in others:
        assert norms.max() / norms.min() < 10
    printed_norms = [numbers(line)[1:] for line in printed.splitlines()[2:12]]
    np.testing.assert_allclose(np.array(printed_norms).T, [sigmoids, *others], rtol=0.06)
    worst, *good = names.accuracies.values()
    assert worst < 0.2 < 0.85 < min(good)
    (made, silent, _), *cured = names.runs.values()
    assert silent > 0.5
    assert made < 0.5
    for accuracy, silent, _ in cured:
        assert silent < 0.1
        assert accuracy > 0.9


def test_overfitting(run):
    measure = pytest.importorskip("sklearn.metrics")
    names, printed, _ = run("09")
    x, y = names.test
    errors = {}
    for name, (model, _) in names.runs.items():
        _, errors[name], _, nearly_zero, weights = numbers(line_of(printed, f"{name}  ").replace("L1", ""))[-5:]
        hidden = names.hidden_weights(model)
        assert weights == hidden.size
        if name != "L1":  # whose weights have been set to 0 in the meantime
            assert nearly_zero == (np.abs(hidden) < names.NEARLY_ZERO).sum()
            assert errors[name] == pytest.approx(measure.mean_squared_error(y, model.predict(x)), abs=6e-4)
        else:
            assert nearly_zero == (hidden == 0).sum() > 0.9 * weights
    assert all(1 < error < errors["no cure"] - 0.3 for name, error in errors.items() if name != "no cure")
    model, _ = names.runs["L1"]
    before, after = numbers(line_of(printed, "L1 with those set to exactly 0"))
    assert after == pytest.approx(measure.mean_squared_error(y, model.predict(x)), abs=6e-5)
    assert after == pytest.approx(before, abs=0.05)
    assert names.largest[:2].min() > 5 * names.largest[2:].max()


def test_a_table(run):
    measure = pytest.importorskip("sklearn.metrics")
    names, printed, _ = run("10")
    answers = names.model.predict(names.x_test)[:, 0] >= 0.5
    np.testing.assert_array_equal(names.counts, measure.confusion_matrix(names.y_test, answers))
    assert numbers(line_of(printed, "  malignant"))[:2] == names.counts[0].tolist()
    accuracy = measure.accuracy_score(names.y_test, answers)
    assert accuracy > 0.9
    assert numbers(line_of(printed, "test"))[0] == pytest.approx(100 * accuracy, abs=0.06)
    np.testing.assert_array_equal(names.again, names.probability)
    np.testing.assert_allclose(names.elsewhere, names.probability, atol=1e-5)


def test_the_same_training_three_times(run):
    names, printed, _ = run("11")
    losses = np.array(
        [numbers(line_of(printed, name))[:2] for name in ("NumPy", "scikit-learn", "fastmlp")]
    )  # the times are anybody's
    np.testing.assert_allclose(losses, losses[[0, 0, 0]], rtol=2e-3)
    assert losses[0, 1] < 0.2 * losses[0, 0]
    assert set(names.seconds) == {"NumPy", "scikit-learn", "fastmlp"}


# --- without a picture, without Matplotlib, and the page ----------------------------------------------------


def command(*arguments, code=None):
    start = [sys.executable, "-W", "error"] + (["-c", code] if code else [])
    return subprocess.run([*start, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_without_a_picture_matplotlib_is_not_imported(tmp_path):
    pytest.importorskip("sklearn")
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, 'examples');"
        "runpy.run_path(sys.argv[0], run_name='__main__'); print('matplotlib' in sys.modules)"
    )
    done = command(str(EXAMPLES["01"]), code=code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\nFalse\n")


def test_without_matplotlib_the_numbers_are_printed(tmp_path):
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]; sys.path.insert(0, 'examples'); sys.modules['matplotlib'] = None;"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    picture = tmp_path / "it.png"
    done = command(str(EXAMPLES["03"]), "--picture", str(picture), code=code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith('No picture: it needs Matplotlib, pip install "fastmlp[plot]"\n')
    assert "layer 2 a" in done.stdout
    assert not picture.exists()


def test_the_page_is_written_by_its_script(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    from benchmarks import course

    page = tmp_path / "course.md"
    page.write_text("before\n<!-- 03: begin -->\nold\n<!-- 03: end -->\nafter\n", encoding="utf-8")
    assert course.main(["--only", "03", "--page", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    link = "[examples/03_forward_propagation.py](../examples/03_forward_propagation.py)"
    assert text.startswith(f"before\n<!-- 03: begin -->\n{link}\n\n```sh\npython examples/03_forward_propagation.py")
    assert "layer 2 a" in text
    assert "The picture is in" not in text
    assert text.endswith("](course/03.png)\n<!-- 03: end -->\nafter\n")
    assert 1000 < (tmp_path / "course" / "03.png").stat().st_size <= course.MOST_BYTES
    with pytest.raises(ValueError, match="04: begin"):
        course.main(["--only", "04", "--page", str(page)])


def test_the_script_says_which_example_fails(tmp_path):
    pytest.importorskip("PIL")
    from benchmarks import course

    example = tmp_path / "12_wrong.py"
    example.write_text('"""12. Wrong."""\n\nraise ValueError("a mistake")\n', encoding="utf-8")
    assert course.title(example) == "Wrong."
    with pytest.raises(RuntimeError, match=r"12_wrong\.py failed:\n(.|\n)*a mistake"):
        course.run(example, tmp_path / "12.png")
