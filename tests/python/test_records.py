"""Functions of the physics take a few records each, and none a whole scenario."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

from hindmost import physics
from hindmost.scenario import Scenario, counts

MAX_RECORDS = 4

MODULES = [
    *(
        import_module(f"hindmost.physics.{name}")
        for _, name, _ in pkgutil.iter_modules(physics.__path__)
    ),
    counts,
]


def functions() -> Iterator[Callable[..., Any]]:
    """Yield the functions and methods that the modules define."""
    for module in MODULES:
        for value in vars(module).values():
            if getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(value):
                yield value
            elif inspect.isclass(value):
                for member in vars(value).values():
                    member = getattr(member, "fget", getattr(member, "func", member))
                    member = getattr(member, "__func__", member)
                    if inspect.isfunction(member) and member.__module__ == module.__name__:
                        yield member


def types(annotation: Any) -> Iterator[type]:
    """Yield the classes that an annotation names."""
    if inspect.isclass(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from types(argument)


def records(function: Callable[..., Any]) -> list[str]:
    """Return the parameters of a function that are records, or hold some."""
    hints = get_type_hints(function, vars(import_module(function.__module__)))
    hints.pop("return", None)
    return [
        name
        for name, annotation in hints.items()
        if any(is_dataclass(one) or issubclass(one, BaseModel) for one in types(annotation))
    ]


FUNCTIONS = list(functions())


def test_there_are_functions() -> None:
    names = {function.__qualname__ for function in FUNCTIONS}
    assert {"compute_time", "terms", "memory", "links", "network", "Network.cost"} <= names


@pytest.mark.parametrize(
    "function", FUNCTIONS, ids=lambda one: f"{one.__module__}.{one.__qualname__}"
)
def test_a_function_takes_a_few_records(function: Callable[..., Any]) -> None:
    assert len(records(function)) <= MAX_RECORDS
    hints = get_type_hints(function, vars(import_module(function.__module__)))
    assert not any(Scenario in types(annotation) for annotation in hints.values())


@pytest.mark.parametrize("module", MODULES, ids=lambda one: one.__name__)
def test_no_module_of_the_physics_imports_scenarios(module: Any) -> None:
    tree = ast.parse(inspect.getsource(module))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert "Scenario" not in names
