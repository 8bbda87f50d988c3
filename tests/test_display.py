import io
import re
import sys
import threading

import pytest
from rich.console import Console

from fastmlp import display
from fastmlp.kernels import compilations

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
LOGS = {"loss": 0.12341, "accuracy": 0.95}


class Clock:
    """A clock that stands still until told."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(display, "perf_counter", clock)
    return clock


def terminal_bar(width=100):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, color_system=None, _environ={})
    return display.Bar(console), stream


def run(shown, clock, epochs, seconds, samples=1000, validation=0.0):
    shown.begin(epochs, samples)
    try:
        for epoch in range(epochs):
            shown.epoch_begin(epoch)
            for step in range(1, 5):
                clock.now += seconds / 4
                shown.update(step * samples // 4, LOGS)
            clock.now += validation
            shown.epoch_end(epoch, {**LOGS, "val_loss": 0.5})
    finally:
        shown.close()


def test_silent_prints_nothing(capsys, clock):
    run(display.progress(0), clock, 3, 1.0)
    assert capsys.readouterr() == ("", "")


def test_lines_print_one_line_an_epoch(capsys, clock):
    run(display.progress(2), clock, 2, 0.25, validation=0.25)
    values = "loss: 0.1234  accuracy: 0.9500  val_loss: 0.5000"
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1/2  0.50 s  {values}  4,000 samples/s",
        f"Epoch 2/2  0.50 s  {values}  4,000 samples/s",
    ]


def test_the_rate_without_updates_is_that_of_the_whole_epoch(capsys, clock):
    lines = display.progress(2)
    lines.begin(1, 1000)
    lines.epoch_begin(0)
    clock.now += 2.0
    lines.epoch_end(0, {})
    assert capsys.readouterr().out == "Epoch 1/1  2.00 s  500 samples/s\n"


def test_an_instant_epoch_divides_by_no_zero(capsys, clock):
    run(display.progress(2), clock, 1, 0.0)
    assert "Epoch 1/1  0.0 ms" in capsys.readouterr().out


def test_the_bar_leaves_a_line_for_each_slow_epoch(clock):
    bar, stream = terminal_bar()
    run(bar, clock, 3, 1.0)
    text = stream.getvalue()
    for epoch in (1, 2, 3):
        line = f"Epoch {epoch}/3  1.00 s  loss: 0.1234  accuracy: 0.9500  val_loss: 0.5000  1,000 samples/s"
        assert text.count(line) == 1
    assert "━" in text
    assert "750/1,000" in text
    assert "ETA 1.00 s" in text


def test_the_bar_below_the_line_of_an_epoch_is_of_that_epoch(clock):
    bar, stream = terminal_bar()
    bar.begin(5, 1000)
    for epoch in range(2):
        bar.epoch_begin(epoch)
        bar.next_draw = float("inf")  # as on a terminal that is slow to draw
        clock.now += 1.0
        bar.epoch_end(epoch, {"loss": 2.0 - epoch})
    drawn = stream.getvalue().rpartition("Epoch 2/5  1.00 s  loss: 1.000")[2]
    assert "Epoch 2/5" in drawn
    assert "1,000/1,000" in drawn
    assert "ETA 3.00 s" in drawn
    bar.close()


def test_the_bar_leaves_only_the_last_line_of_fast_epochs_and_is_seldom_drawn(clock):
    bar, stream = terminal_bar()
    run(bar, clock, 1000, 0.001)
    text = stream.getvalue()
    assert len(re.findall(r"samples/s\n", text)) == 1
    assert text.index("Epoch 1000/1000  1.0 ms") > text.rindex("━")
    assert 5 <= text.count("ETA") <= 12


def test_a_bar_that_is_slow_to_draw_is_drawn_less_often(clock, monkeypatch):
    bar, _ = terminal_bar()
    picture = bar.picture
    drawn = []

    def slow(seconds):
        drawn.append(clock.now)
        clock.now += 0.1
        return picture(seconds)

    monkeypatch.setattr(bar, "picture", slow)
    run(bar, clock, 100, 0.3)
    assert len(drawn) <= 8


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_the_cursor_comes_back_after_an_exception(clock, error):
    bar, stream = terminal_bar()
    original = sys.stdout, sys.stderr

    def interrupted():
        bar.begin(5, 1000)
        try:
            bar.epoch_begin(0)
            clock.now += 0.2
            bar.epoch_end(0, LOGS)
            raise error
        finally:
            bar.close()

    with pytest.raises(error):
        interrupted()
    text = stream.getvalue()
    assert text.count(HIDE) == 1
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert (sys.stdout, sys.stderr) == original
    assert "Epoch 1/5  0.20 s" in text
    bar.close()
    assert stream.getvalue() == text


def test_the_cursor_comes_back_when_the_first_drawing_fails(clock, monkeypatch):
    bar, stream = terminal_bar()

    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(bar, "picture", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bar.begin(5, 1000)
    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)


def test_the_bar_has_no_thread_and_can_be_used_again(clock):
    bar, stream = terminal_bar()
    before = threading.active_count()
    for _ in range(2):
        bar.begin(1, 10)
        assert threading.active_count() == before
        bar.epoch_begin(0)
        clock.now += 1.0
        bar.epoch_end(0, {})
        bar.close()
    assert stream.getvalue().count("Epoch 1/1  1.00 s") == 2


def test_a_run_that_goes_on_estimates_from_its_own_epochs(clock):
    bar, stream = terminal_bar()
    bar.begin(10, 1000)
    bar.epoch_begin(8)
    clock.now += 4.0
    bar.epoch_end(8, {})
    bar.close()
    assert "250 samples/s  ETA 4.00 s" in stream.getvalue()


def test_a_forced_bar_in_a_pipe_leaves_plain_lines(capsys, clock):
    run(display.progress(1), clock, 2, 1.0)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:17] for line in lines] == ["Epoch 1/2  1.00 s", "Epoch 2/2  1.00 s"]
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_narrow_terminals(clock, width):
    bar, stream = terminal_bar(width)
    run(bar, clock, 12, 0.3)
    assert "Epoch 12/12" in stream.getvalue()


def test_auto_asks_the_terminal(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert type(display.progress("auto")) is display.Bar
    monkeypatch.setenv("TERM", "dumb")
    assert type(display.progress("auto")) is display.Lines
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert type(display.progress()) is display.Lines


@pytest.mark.parametrize("verbose", [3, -1, "1", "loud", None, 1.0, []])
def test_verbose_is_checked(verbose):
    with pytest.raises(ValueError, match=r"verbose must be 'auto', 0 .* got ") as caught:
        display.progress(verbose)
    assert str(caught.value).endswith(repr(verbose))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.95, "0.9500"),
        (12.3, "12.30"),
        (1234.4, "1234"),
        (0.0, "0.000"),
        (1.2345e-5, "1.234e-05"),
        (1.5e7, "1.500e+07"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers_have_four_significant_digits(value, text):
    assert display.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0012, "1.2 ms"),
        (0.42, "0.42 s"),
        (59.994, "59.99 s"),
        (59.996, "1:00"),
        (65, "1:05"),
        (7207, "2:00:07"),
    ],
)
def test_durations(seconds, text):
    assert display.duration(seconds) == text


def test_summary_table():
    rows = [("dense [red] (Dense)", "(None, 64)", "50,240"), ("dense_1 (Dense)", "(None, 10)", "650")]
    text = display.summary_table("net", rows, 300_000, 299_000)
    lines = text.splitlines()
    assert lines[0] == 'Model: "net"'
    assert re.fullmatch(r"┃ Layer \(type\) +┃ Output shape ┃ Parameters ┃", lines[2])
    assert lines[4] == "│ dense [red] (Dense) │ (None, 64)   │     50,240 │"
    assert lines[-3:] == [
        " Total parameters: 300,000 (1.14 MiB)",
        " Trainable parameters: 299,000 (1.14 MiB)",
        " Non-trainable parameters: 1,000 (3.91 KiB)",
    ]
    assert "\x1b" not in text


def test_summary_table_for_an_output_without_box_characters(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    assert display.summary_table("net", [("a", "b", "1")], 1, 1).isascii()


def test_the_bar_says_that_kernels_are_compiled_and_leaves_that_time_out(clock, monkeypatch):
    monkeypatch.setattr(compilations, "perf_counter", clock)
    bar, stream = terminal_bar()
    compilations.begin()
    compilations.end()
    bar.begin(2, 1000)
    assert "compiling" not in stream.getvalue()
    bar.epoch_begin(0)
    for seconds in (1.0, 8.0):
        compilations.begin()
        clock.now += seconds
        compilations.end()
        compilations.end()
    assert stream.getvalue().count(f"  {display.COMPILING}") >= 2
    clock.now += 1.0
    bar.update(1000, LOGS)
    assert "1,000 samples/s  ETA 1.00 s" in stream.getvalue()
    bar.epoch_end(0, LOGS)
    bar.close()
    lines = re.sub(r"\x1b\[[?\d;]*\w", "\r", stream.getvalue()).replace("\r", "\n").splitlines()
    assert [line for line in lines if line.startswith(("Compiled", "Epoch 1/2  1.00 s"))] == [
        "Compiled kernels in 9.00 s",
        "Epoch 1/2  1.00 s  loss: 0.1234  accuracy: 0.9500  1,000 samples/s",
    ]
    assert compilations.listen(None) is None


def test_a_bar_inside_another_gives_the_ear_back(clock):
    outer, _ = terminal_bar()
    inner, _ = terminal_bar()
    outer.begin(1, 10)
    inner.begin(1, 10)
    inner.close()
    assert compilations.listen(None) is outer
    outer.close()


@pytest.mark.parametrize(("samples", "batch", "shown"), [(1000, 300, "4/4 steps"), (10, 32, "1/1 step")])
def test_an_evaluation_shows_steps(capsys, clock, samples, batch, shown):
    bar, stream = terminal_bar()
    for progress in (display.progress(2), bar):
        progress.begin(1, samples, batch)
        progress.epoch_begin(0)
        clock.now += 0.5
        progress.update(samples, LOGS)
        progress.epoch_end(0, LOGS)
        progress.close()
    line = f"{shown}  0.50 s  loss: 0.1234  accuracy: 0.9500  {2 * samples:,} samples/s"
    assert capsys.readouterr().out == f"{line}\n"
    assert line in stream.getvalue()
    assert f"0/{shown.split('/')[1]}" in stream.getvalue()
    assert "Epoch" not in stream.getvalue()
