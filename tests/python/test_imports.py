"""Imports run one way, and starting is quick because little is imported."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hindmost as hm

PACKAGE = Path(hm.__file__).parent

ORDER = [
    ["errors", "units", "strict"],
    ["_core"],
    ["law"],
    ["cause"],
    ["catalog"],
    ["scenario"],
    ["collective"],
    ["physics"],
    ["plan"],
    ["engines"],
    ["order"],
    ["metrics"],
    ["statistics"],
    ["result"],
    ["simulation"],
    ["analyses"],
    ["report"],
    ["storage"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}


def part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the parts of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    names = {name.split(".")[1] for name in found if name.startswith("hindmost.")}
    return {name for name in names if name in LEVEL}


def test_every_part_has_its_place_in_the_order() -> None:
    parts = {part(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert parts == set(LEVEL) - {"_core"}


def test_imports_run_one_way() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in PACKAGE.rglob("*.py")
        if part(path) != "__init__"
        for name in imported(path)
        if name != part(path) and LEVEL[name] >= LEVEL[part(path)]
    ]
    assert wrong == []


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from hindmost.cli import cli; "
        "print(sorted({'numpy', 'polars', 'pydantic', 'hindmost._core'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("style", ["table", "json", "csv", "markdown"])
def test_a_run_that_writes_no_steps_imports_no_polars(style: str) -> None:
    call = ["run", "h100-1k", "--runs", "2", "--steps", "2", "--format", style]
    code = (
        f"import sys; from hindmost.cli import cli; cli.main({call}, standalone_mode=False); "
        "sys.exit('polars' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_every_public_name_is_defined_in_the_module_that_it_comes_from() -> None:
    assert sorted(hm._MODULES) == sorted(hm.__all__) == sorted(dir(hm))
    for name, module in hm._MODULES.items():
        value = getattr(import_module(f"hindmost.{module}"), name)
        assert getattr(hm, name) is value
        assert getattr(value, "__module__", f"hindmost.{module}") == f"hindmost.{module}"


def test_no_module_hides_a_public_name() -> None:
    code = (
        "import importlib, hindmost as hm; "
        "[importlib.import_module(f'hindmost.{name}') for name in hm._MODULES.values()]; "
        "print(*(name for name in hm.__all__ if type(getattr(hm, name)).__name__ == 'module'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_name_that_the_package_does_not_have_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'hindmost' has no attribute 'simulat'"):
        hm.simulat  # noqa: B018
