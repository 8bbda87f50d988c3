"""The command line, as a user runs it and in-process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import fastmlp
from fastmlp import __main__ as command_line
from fastmlp import demo
from fastmlp.kernels import cache, jit
from fastmlp.threads import available_cores, get_num_threads

ROOT = Path(__file__).parent.parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "fastmlp", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def plain_console():
    return Console(width=200, color_system=None, force_terminal=False)


def tiny(seed=0, **options):
    return demo.run(plain_console(), seed=seed, epochs=2, verbose=0, rows=40, hidden=8, repeats=1, **options)


def test_info_in_a_process():
    done = run("info")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in (fastmlp.__version__, "numba", "llvmlite", "threading layer", f"at most {get_num_threads()}"):
        assert text in done.stdout
    assert f"{jit.SIMD_WIDTH} float32 lanes" in done.stdout
    assert str(cache.cache_folder() or "none") in done.stdout


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"fastmlp {fastmlp.__version__}\n")


def test_unknown_command():
    done = run("trian")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "'trian'" in done.stderr
    assert "demo" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(jit.JIT_DISABLED, reason="the whole demo takes too long without compiled kernels")
def test_demo_in_a_process():
    done = run("demo")
    assert done.returncode == 0, done.stderr
    accuracy = re.search(r"Test accuracy: ([\d.]+)%", done.stdout)
    assert accuracy, done.stdout
    assert float(accuracy[1]) >= 97
    assert f"Epoch {command_line.DEMO_EPOCHS}/{command_line.DEMO_EPOCHS}" in done.stdout
    assert "Both end at the same loss" in done.stdout
    assert re.search(r"[\d.]+ times as fast", done.stdout)


def test_demo_arrives_where_numpy_does(capsys):
    outcome = tiny()
    assert max(outcome.differences) < 1e-5
    assert 0 <= outcome.accuracy <= 1
    assert outcome.factor == outcome.seconds[1] / outcome.seconds[0] > 0
    printed = capsys.readouterr().out
    assert f"Test accuracy: {outcome.accuracy:.2%}" in printed
    assert f"{outcome.losses[1]:.7f}" in printed
    assert f"{outcome.factor:.1f} times" in printed


def test_demo_follows_its_seed():
    assert tiny(seed=1).losses == tiny(seed=1).losses != tiny(seed=2).losses


def test_demo_says_when_the_losses_differ(monkeypatch, capsys):
    monkeypatch.setattr(demo, "compare", lambda *_: ((1.0, 1.0), (1.0, 2.0), (0.1, 0.2)))
    outcome = tiny()
    assert not outcome.agrees
    printed = capsys.readouterr().out
    assert "The losses differ: 0.0e+00 in the first epoch, 5.0e-01 in the last" in printed
    assert "Both end" not in printed


@pytest.mark.parametrize(("losses", "status"), [((1.0, 1.0), 0), ((1.0, 2.0), 1), ((float("nan"), 1.0), 1)])
def test_demo_exit_status(monkeypatch, losses, status):
    calls = []

    def record(console, **options):
        calls.append(options)
        return demo.Outcome(0.98, (1.0, 1.0), losses, (1.0, 2.0))

    monkeypatch.setattr(demo, "run", record)
    assert command_line.main(["demo", "--seed", "3", "--epochs", "7"]) == status
    assert calls == [{"seed": 3, "epochs": 7}]


def test_demo_interrupted(monkeypatch, capsys):
    def interrupted(console, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert command_line.main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.skipif(jit.JIT_DISABLED, reason="about the compiler")
@pytest.mark.parametrize("folder", [None, Path("somewhere")])
def test_demo_says_that_kernels_were_compiled(monkeypatch, capsys, folder):
    from fastmlp.engine import epoch

    demo.prepare(plain_console())
    capsys.readouterr()
    monkeypatch.setattr(cache, "cache_folder", lambda: folder)
    monkeypatch.setitem(epoch.run_steps._cache_misses, "a signature", 1)
    demo.prepare(plain_console())
    printed = capsys.readouterr().out
    assert "Kernels: compiled in" in printed
    assert ("every time" in printed) == (folder is None)


def test_info_in_process(capsys):
    assert command_line.main(["info"]) == 0
    printed = capsys.readouterr().out
    for name, value in command_line.facts():
        assert name in printed
        assert value in printed


def test_info_without_cache_folder(monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: None)
    assert dict(command_line.facts())["kernel cache"].startswith("none")


def test_cores():
    assert 1 <= available_cores() <= os.cpu_count()


def test_blas_names_the_variable_that_limits_it(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert demo.blas().endswith("OPENBLAS_NUM_THREADS=1")


@pytest.mark.parametrize("text", ["model name\t: Fast 9000\n", "model name\t:\n", ""])
def test_processor_on_linux(monkeypatch, text):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    if "Fast" in text:
        assert command_line.processor() == "Fast 9000"
    else:
        assert command_line.processor()


def test_processor_on_macos(monkeypatch):
    answer = subprocess.CompletedProcess([], 0, stdout="Fast 9000\n")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert command_line.processor() == "Fast 9000"


def test_processor_elsewhere(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(Path, "read_text", missing)
    assert command_line.processor()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--epochs", "many"],
        ["--epochs", "2.5"],
        ["--seed", "x"],
        ["--seed", "-1"],
        ["--seed", str(2**64)],
    ],
    ids=" ".join,
)
def test_invalid_demo_arguments(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["demo", *arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr().err
    assert arguments[0] in printed
    assert "must be a whole number" in printed
    assert arguments[1] in printed


def test_no_command_prints_the_help(capsys):
    assert command_line.main([]) == 0
    printed = capsys.readouterr().out
    assert "demo" in printed
    assert "info" in printed


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("demo", "Train on handwritten digits, and time the same training in NumPy."),
        ("info", "Print versions, the processor, and where compiled kernels are kept."),
    ],
)
def test_a_command_explains_itself(command, text, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main([command, "--help"])
    assert stop.value.code == 0
    assert text in " ".join(capsys.readouterr().out.split())


def test_output_is_ascii_for_terminals_that_know_no_more():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "fastmlp", "info"], cwd=ROOT, env=environment, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


def test_help_loads_no_compiler(monkeypatch):
    code = (
        "import sys; from fastmlp.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout.endswith("False\n")


@pytest.mark.skipif(jit.JIT_DISABLED, reason="nothing is compiled")
def test_warmup_fills_the_cache(tmp_path):
    environment = {**os.environ, "FASTMLP_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "fastmlp", "warmup"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Compiling training and evaluation\n")
    assert "Kernels are ready" in done.stdout
    compiled = sorted(tmp_path.iterdir())
    code = (
        "import numpy as np, fastmlp\n"
        "x, y = np.ones((9, 4)), np.zeros(9)\n"
        "m = fastmlp.Sequential([fastmlp.Dense(3, 'relu'), fastmlp.Dense(2, 'softmax')])\n"
        "m.compile('adam', 'sparse_categorical_crossentropy', metrics=['accuracy'])\n"
        "m.fit(x, y, verbose=0, validation_split=0.2, sample_weight=y + 1); m.predict(x[:2])\n"
        "m.compile(fastmlp.optimizers.RMSprop(clipnorm=1.0), 'sparse_categorical_crossentropy')\n"
        "m.fit(x, y, verbose=0); [m.train_on_batch(x, y) for _ in range(2)]\n"
        "for part in (fastmlp.activations, fastmlp.losses, fastmlp.metrics):\n"
        "    for kind in part.TABLE.values():\n"
        "        kind()(x) if part is fastmlp.activations else kind()(y if kind.sparse else x, x)\n"
    )
    subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert sorted(tmp_path.iterdir()) == compiled


def test_warmup_without_compiler_or_cache(monkeypatch, capsys):
    monkeypatch.setattr("fastmlp.kernels.jit.JIT_DISABLED", True)
    assert command_line.main(["warmup"]) == 1
    assert "nothing to compile" in capsys.readouterr().out
    monkeypatch.setattr("fastmlp.kernels.jit.JIT_DISABLED", False)
    monkeypatch.setattr("fastmlp.kernels.cache.cache_folder", lambda: None)
    assert command_line.main(["warmup"]) == 1
    assert "no cache folder can be used" in capsys.readouterr().out
