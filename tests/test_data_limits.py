"""Reading under a limit of memory, and Ctrl-C while a read is waited for."""

import os
import re
import signal
import sys
import threading
import time

import numpy as np
import pytest
from programs import run

from fastmlp import Dense, Input, Sequential
from fastmlp.data import Source

pytestmark = [
    pytest.mark.jit_only,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and sends signals"),
]

WITHIN_A_BOUND = """
import sys
import numpy as np
from pathlib import Path
from fastmlp import Dense, Input, Sequential
from fastmlp.data import Source

def highest():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024

rows, features = 1_000_000, 50
with open(sys.argv[1], "wb") as file:
    for _ in range(20):
        np.ones((rows // 20, features), np.float32).tofile(file)
x = np.memmap(sys.argv[1], np.float32, "r", shape=(rows, features))
y = np.zeros(rows, np.float32)
model = Sequential([Input((features,)), Dense(4, "relu"), Dense(1)], seed=0)
model.compile("adam", "mse")
model.fit(np.ones((2000, features), np.float32), y[:2000], 256, verbose=0)
source = Source(x, y, block_bytes=1 << 20, buffer=4)
before = highest()
model.fit(source, batch_size=256, verbose=0)
print(highest() - before, source.memory(256), rows * features * 4)
"""


def test_memory_stays_below_the_bound(tmp_path):
    printed = run(f"import sys\nsys.argv[1:] = [{str(tmp_path / 'x.bin')!r}]\n{WITHIN_A_BOUND}")
    grown, bound, size = map(int, re.findall(r"\d+", printed)[-3:])
    assert grown < bound < size / 3


class Stuck:
    """Rows that take a while from the second block on."""

    def __init__(self):
        self.waiting = threading.Event()
        self.go_on = threading.Event()

    def __len__(self):
        return 1000

    def __getitem__(self, rows):
        if rows.start >= 200:
            self.waiting.set()
            self.go_on.wait(30)
        return np.ones((rows.stop - rows.start, 3), np.float32)


def test_ctrl_c_does_not_wait_for_a_read():
    rows = Stuck()
    model = Sequential([Input((3,)), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    sent = []

    def send():
        rows.waiting.wait(30)
        time.sleep(0.1)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(Source(rows, np.zeros(1000), block_rows=100, buffer=1), shuffle=False, verbose=0)
        # the read goes on: nobody has waited for it
        assert not rows.go_on.is_set()
        print(f"answered after {time.perf_counter() - sent[0]:.3f} s")
    finally:
        rows.go_on.set()
        sender.join()
    for thread in threading.enumerate():
        if thread.name.startswith("fastmlp reads"):
            thread.join(30)
            assert not thread.is_alive()
    model.fit(np.ones((10, 3)), np.zeros(10), verbose=0)
    assert np.isfinite(model.get_weights()[0]).all()
