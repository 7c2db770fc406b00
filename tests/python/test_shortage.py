"""What there is no memory or no thread for raises an error of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

CALL = """
import resource, sys
import hindmost as hm

scenario = hm.load("h100-1k")
hm.simulate(scenario, steps=1, runs=1, seed=1, threads=1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]),) * 2)
try:
    hm.simulate(scenario, seed=1, **eval(sys.argv[2]))
except Exception as error:
    print(type(error).__name__, error)
"""
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")


def said(n_bytes: int, sizes: str) -> str:
    """Return what a simulation of these sizes raises with so much memory more."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, str(n_bytes), sizes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize("method", ["sample", "auto"])
def test_rows_that_no_memory_holds_are_a_memory_error(method: str) -> None:
    sizes = f"dict(steps=10_000_000, runs=8, threads=1, method={method!r})"
    assert said(700_000_000, sizes) == ("MemoryError there are no 640000000 bytes of memory left")


def test_threads_that_do_not_start_are_named() -> None:
    message = said(300_000_000, "dict(steps=10, runs=2, threads=1024)")
    assert message.startswith("ThreadsError the operating system does not start 1024 threads: ")
