"""Memory stays flat over many fits and predictions; 10,000 and 1,000,000 by ``python -m benchmarks.memory``."""

import re
import sys

import pytest
from programs import run

pytestmark = [
    pytest.mark.jit_only,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def test_memory_stays_flat():
    printed = run("from benchmarks.memory import main\nmain(1_000, 100_000)")
    grown = [int(number.replace(",", "")) for number in re.findall(r"([+-][\d,]+) KiB", printed)]
    assert len(grown) == 2, printed
    assert max(grown) < 1024, printed
