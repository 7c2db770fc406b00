"""An interrupt ends what the core does, whenever it comes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hindmost import _core

FIRST_CALL = """
import signal, sys
import hindmost as hm

def interrupt(*_):
    raise KeyboardInterrupt

scenario = hm.load("h100-1k")
signal.signal(signal.SIGALRM, interrupt)
try:
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[1]))
    hm.simulate(scenario, steps=3_000, runs=1, seed=1, method="sample")
    signal.setitimer(signal.ITIMER_REAL, 0)
except KeyboardInterrupt:
    pass
"""


@contextlib.contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Raise KeyboardInterrupt in the main thread after some seconds."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pool(name: str) -> dict[str, Any]:
    sizes = {"node_gpus": 8, "domain_gpus": 8, "rack_gpus": None, "tensor_gpus": 8}
    return {"name": name, "n_gpus": 128, **sizes, "compute_s": 1.0}


def cause(number: int, pools: list[int]) -> dict[str, Any]:
    law = {"name": "uniform", "low": 0.999, "high": 1.001 + 1e-7 * number}
    kind = {"affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "step"}
    return {"name": f"c{number}", **kind, "probability": 1.0, "law": law, "pools": pools}


@pytest.mark.timed
def test_an_interrupt_ends_the_compiling_of_many_laws_within_a_second() -> None:
    causes = [cause(number, [0]) for number in range(900)]
    plan = _core.Plan(pools=[pool("a")], causes=causes, terms=[], overlap_fraction=0.0)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), interrupted_after(0.2):
        _core.OrderStatistics(plan)
    # On a busy machine; all of them take five seconds.
    assert time.monotonic() - started < 2.5


@pytest.mark.timed
def test_an_interrupt_ends_the_compiling_of_a_large_plan_within_a_second() -> None:
    pools = [pool(f"p{number}") for number in range(100)]
    causes = [cause(number, list(range(100))) for number in range(700)]
    started = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt, _core.StreamsError), interrupted_after(0.05):
        _core.Plan(pools=pools, causes=causes, terms=[], overlap_fraction=0.0)
    assert time.monotonic() - started < 5


@pytest.mark.timed
@pytest.mark.parametrize("delay_s", [0.001, 0.005, 0.02, 0.05])
def test_an_interrupt_of_the_first_call_of_a_process_is_no_panic(delay_s: float) -> None:
    call = [sys.executable, "-c", FIRST_CALL, str(delay_s)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.stderr == ""


INTERRUPTED = """
import importlib.abc, sys
class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
"""
"""Python code after which the import of one module is interrupted."""


@pytest.mark.timed
@pytest.mark.parametrize("name", ["hindmost.cli", "hindmost.cli.app", "click"])
def test_a_command_that_is_interrupted_while_it_is_loaded_says_so_by_its_status(name: str) -> None:
    code = INTERRUPTED.format(name=name) + "import runpy; runpy.run_module('hindmost')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.timed
@pytest.mark.parametrize("name", ["numpy", "numpy._core.multiarray"])
def test_the_core_is_interrupted_while_it_loads_numpy_and_does_not_panic(name: str) -> None:
    code = INTERRUPTED.format(name=name) + "import hindmost._core"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "KeyboardInterrupt"
    assert "panic" not in done.stderr
