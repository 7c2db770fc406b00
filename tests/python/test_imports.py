"""Imports run one way, between files too, and starting is quick because little is imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import hindmost as hm

PACKAGE = Path(hm.__file__).parent

ORDER = [
    ["errors", "memo", "notebook", "student", "units", "strict"],
    ["_core"],
    ["law"],
    ["cause"],
    ["catalog", "spread"],
    ["scenario"],
    ["collective"],
    ["physics"],
    ["plan"],
    ["energy"],
    ["engines"],
    ["parallel", "precise"],
    ["arguments"],
    ["order"],
    ["metrics"],
    ["terms"],
    ["file_terms"],
    ["statistics"],
    ["forecasted"],
    ["renewal"],
    ["slices"],
    ["queues"],
    ["serving"],
    ["money"],
    ["whole_run"],
    ["files", "logs"],
    ["plots"],
    ["attributed"],
    ["store"],
    ["result"],
    ["reading"],
    ["compiled"],
    ["simulation", "timelines", "sweeps"],
    ["fitting"],
    ["analyses", "stragglers"],
    ["report"],
    ["cli"],
    ["__main__"],
]
"""Parts of the package, each of which imports only from those above it."""
LEVEL = {name: level for level, names in enumerate(ORDER) for name in names}

FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for suffix in ("py", "pyi")
    for path in sorted(PACKAGE.rglob(f"*.{suffix}"))
}
"""Files by the name of their module; that of a package is its ``__init__``."""
PACKAGES = {name for name, path in FILES.items() if path.stem == "__init__"}


def part(module: str) -> str:
    """Return the part of the package that a module belongs to; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def above(module: str) -> set[str]:
    """Return the packages that a module lies in."""
    names = module.split(".")
    return {".".join(names[:length]) for length in range(1, len(names))}


def imports(module: str) -> Iterator[tuple[str, str]]:
    """Yield the modules that a file imports from, each with the name that it imports.

    Imports within functions and those for type checkers count too.
    """
    for node in ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in FILES:
                    yield submodule, ""
                elif node.module in FILES:
                    yield str(node.module), alias.name


GRAPH = {module: {other for other, _ in imports(module)} for module in FILES}


def test_the_graph_has_the_imports_that_there_are() -> None:
    assert GRAPH["hindmost.analyses.caps"] >= {"hindmost.compiled", "hindmost.result"}
    assert "hindmost.catalog" in GRAPH["hindmost.scenario.models"]
    assert "hindmost._core" in GRAPH["hindmost.cli.run"]


def test_every_part_has_its_place_in_the_order() -> None:
    assert {part(module) for module in FILES} - {""} == set(LEVEL)


def test_parts_import_only_from_parts_before_them() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in GRAPH.items()
        if part(module)
        for other in others
        if part(other) != part(module) and LEVEL[part(other)] >= LEVEL[part(module)]
    ]
    assert wrong == []


def test_no_circle_of_imports_leads_through_files() -> None:
    try:
        TopologicalSorter(GRAPH).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_no_module_imports_from_a_package_that_it_lies_in() -> None:
    wrong = [
        f"{module} imports {name or 'all'} from {other}"
        for module in FILES
        for other, name in imports(module)
        if other in above(module)
    ]
    assert wrong == []


def test_packages_are_tables_of_contents() -> None:
    for package in PACKAGES - {"hindmost"}:
        body = ast.parse(FILES[package].read_text(encoding="utf-8")).body
        for node in body[1:]:
            is_list = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            assert is_list or isinstance(node, ast.ImportFrom), f"{package} defines something"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_name_in_a_table_of_contents_hides_a_file(package: str) -> None:
    names = getattr(import_module(package), "__all__", [])
    assert [name for name in names if f"{package}.{name}" in FILES] == []


def test_every_public_name_is_defined_in_the_module_that_it_comes_from() -> None:
    assert sorted(hm._MODULES) == sorted(hm.__all__) == sorted(dir(hm))
    for name, module in hm._MODULES.items():
        value = getattr(import_module(f"hindmost.{module}"), name)
        assert getattr(hm, name) is value
        assert getattr(value, "__module__", f"hindmost.{module}") == f"hindmost.{module}"


def test_a_function_of_the_package_stays_one_when_its_module_is_imported() -> None:
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


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from hindmost.cli import cli; "
        "print(sorted({'numpy', 'polars', 'pydantic', 'hindmost._core'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_that_writes_no_steps_imports_no_polars() -> None:
    call = ["run", "h100-1k", "--runs", "2", "--steps", "2", "--format"]
    code = f"""
import sys
from hindmost.cli import cli
for style in ("table", "json", "csv", "markdown"):
    cli.main([*{call}, style], standalone_mode=False)
    assert "polars" not in sys.modules, style
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
