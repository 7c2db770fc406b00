"""The package is a plain module, which functions may name wherever they are run."""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import pydoc
import subprocess
import sys
import types
from pathlib import Path

import cloudpickle
import pytest

import hindmost as hm

SENDER = """
import pickle, sys
import cloudpickle
import hindmost
import hindmost as hm

CALL = {"seed": 1, "runs": 2, "steps": 3}

def of_main():
    return hm.simulate("h100-1k", **CALL)

def closing_over(package):
    def inside():
        return package.simulate("h100-1k", **CALL)
    return inside

def importing():
    from hindmost import simulate
    return simulate("h100-1k", **CALL)

class Job:
    def __call__(self):
        return hindmost.compile("h100-1k").simulate(**CALL)

def by_value():
    import by_value
    return by_value

functions = {
    "function": of_main,
    "closure": closing_over(hm),
    "lambda": lambda: hm.simulate("h100-1k", **CALL),
    "default argument": lambda package=hindmost: package.simulate("h100-1k", **CALL),
    "import": importing,
    "object": Job(),
    "result": lambda kept=of_main(): kept,
}
module = by_value()
cloudpickle.register_pickle_by_value(module)
functions["module by value"] = module.run
sys.stdout.buffer.write(cloudpickle.dumps(functions))
"""
MODULE = """
import hindmost as hm

def run():
    return hm.simulate("h100-1k", seed=1, runs=2, steps=3)
"""
RECEIVER = """
import pickle, sys
functions = pickle.load(sys.stdin.buffer)
assert "by_value" not in sys.modules
import hindmost as hm
expected = hm.simulate("h100-1k", seed=1, runs=2, steps=3)
print(*(name for name, function in functions.items() if function() == expected), sep=",")
"""


def run(code: str, *, given: bytes = b"", folder: Path | None = None) -> bytes:
    environment = {**os.environ, "PYTHONPATH": str(folder or "")}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, input=given, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_the_package_is_a_plain_module() -> None:
    assert type(hm) is types.ModuleType
    assert sys.modules["hindmost"] is hm
    assert not hasattr(hm, "__wrapped__")
    assert inspect.getsourcefile(hm) == str(Path(hm.__file__))


def test_functions_that_name_the_package_run_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "by_value.py").write_text(MODULE)
    sent = run(SENDER, folder=tmp_path)
    names = "function,closure,lambda,default argument,import,object,result,module by value"
    assert run(RECEIVER, given=sent).decode().strip() == names


def test_the_package_is_pickled_by_its_name() -> None:
    sent = cloudpickle.dumps(lambda: hm)
    assert b"hindmost" in sent
    assert len(sent) < 1000
    assert cloudpickle.loads(sent)() is hm


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_public_functions_and_classes_are_pickled_by_their_names(protocol: int) -> None:
    for name in set(hm.__all__) - {"__version__"}:
        value = getattr(hm, name)
        assert pickle.loads(pickle.dumps(value, protocol)) is value


def test_every_public_name_is_found_by_those_who_look() -> None:
    members = dict(inspect.getmembers(hm))
    assert set(hm.__all__) <= set(members)
    names: dict[str, object] = {}
    exec("from hindmost import *", names)
    assert set(hm.__all__) <= set(names)
    assert all(names[name] is getattr(hm, name) for name in hm.__all__)
    text = pydoc.render_doc(hm)
    assert "simulate" in text


def test_the_package_can_be_loaded_again() -> None:
    code = (
        "import importlib, hindmost as hm; simulate = hm.simulate; "
        "assert importlib.reload(hm) is hm; assert hm.simulate is simulate; "
        "assert hm.simulate('h100-1k', seed=1, runs=1, steps=1) is not None"
    )
    run(code)


def test_a_fresh_process_finds_each_name_by_itself() -> None:
    code = (
        "import hindmost as hm, sys; "
        "assert 'hindmost.result' not in sys.modules; "
        "from hindmost import Result; assert hm.Result is Result; "
        "import hindmost.simulation; assert callable(hm.simulate)"
    )
    run(code)
    assert importlib.import_module("hindmost") is hm
