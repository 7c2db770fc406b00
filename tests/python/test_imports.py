"""Imports run one way, and starting is quick because little is imported."""

import ast
import subprocess
import sys
from pathlib import Path

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
    ["statistics"],
    ["caps"],
    ["result"],
    ["simulate", "storage"],
    ["report"],
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
