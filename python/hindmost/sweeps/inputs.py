"""What a point of a sweep is: plain inputs as JSON, by which it is named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from hindmost import _core
from hindmost.arguments import (
    as_int,
    method_problems,
    row_problems,
    seed_problems,
    size_problems,
)
from hindmost.errors import Problem, ScenarioError, Verbatim
from hindmost.scenario import Scenario, to_table
from hindmost.scenario.change import as_changes, plain_value

SIZES = ("seed", "runs", "steps", "method")
"""Inputs of a point beside its scenario."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Points of a sweep, each of which becomes the JSON text of its inputs when it is asked for.

    Attributes
    ----------
    points : sequence
        Changes of `base` by key path, or inputs of whole scenarios.
    base : Scenario or None
        What the points change.
    seed, runs, steps, method
        Of each point that has none of its own.
    """

    points: list[Any]
    base: Scenario | None
    seed: int
    runs: int | None
    steps: int | None
    method: str
    _base: str | None = field(init=False)

    def __post_init__(self) -> None:
        text = None if self.base is None else _json(to_table(self.base))
        object.__setattr__(self, "_base", text)

    @property
    def digest(self) -> str:
        """Return a name of all points together, whatever the seed is."""
        from hashlib import blake2b

        found = blake2b(digest_size=16)
        without = replace(self, seed=0)
        for place in range(len(self)):
            found.update(without.text(place).encode())
        return found.hexdigest()

    def __len__(self) -> int:
        return len(self.points)

    def changes(self, place: int) -> Mapping[str, Any]:
        """Return what a point changes of the base; nothing of a whole scenario."""
        return self.points[place] if self.base is not None else {}

    def size(self, place: int) -> dict[str, Any]:
        """Return seed, runs, steps and method of a point; runs and steps None by default."""
        of_all = {name: getattr(self, name) for name in SIZES}
        point = self.points[place]
        if self.base is not None or isinstance(point, Scenario):
            return of_all
        return {name: as_int(point.get(name, of_all[name])) for name in SIZES}

    def text(self, place: int) -> str:
        """Return the inputs of a point: those, and nothing else, decide what it comes to."""
        point = self.points[place]
        inputs: dict[str, Any] = {"version": _core.__version__, **self.size(place)}
        if self._base is not None:
            # A text in itself, by which a worker knows what it has compiled already.
            changes = {path: plain_value(value) for path, value in point.items()}
            inputs |= {"base": self._base, "changes": changes}
        else:
            whole = point if isinstance(point, Scenario) else point["scenario"]
            inputs["scenario"] = to_table(whole) if isinstance(whole, Scenario) else whole
        return _json(inputs)


def key_of(text: str) -> str:
    """Return the name of a point by the text of its inputs."""
    # It takes long to import.
    from hashlib import blake2b

    return blake2b(text.encode(), digest_size=16).hexdigest()


def point_problems(points: list[Any], base: Scenario | None) -> list[Problem]:
    """Return what is wrong with points before any of them is simulated: that they are none."""
    found: list[Problem] = []
    for place, point in enumerate(points):
        path = f"points.{place}"
        if base is not None:
            try:
                as_changes(point, path)
            except ScenarioError as error:
                found += error.problems
                continue
            found += _changes_problems(path, as_changes(point))
        elif not isinstance(point, Scenario):
            found += _inputs_problems(path, point)
    return found


def _changes_problems(path: str, changes: Mapping[Any, Any]) -> Iterator[Problem]:
    """Yield what is wrong with changes that no document could hold."""
    for name, value in changes.items():
        if not isinstance(name, str):
            yield Problem(path=path, requirement="must have key paths as keys", value=str(name))
            continue
        try:
            _json(plain_value(value))
        except (TypeError, ValueError):
            requirement = f"must have plain values, and {name} has none"
            kind = Verbatim(f"a {type(value).__name__}")
            yield Problem(path=path, requirement=requirement, value=kind)


def _inputs_problems(path: str, point: Any) -> list[Problem]:
    """Return what is wrong with the inputs of a whole scenario."""
    hint = "changes of one scenario take base="
    if not isinstance(point, Mapping) or not isinstance(point.get("scenario"), Scenario | Mapping):
        requirement = "must be the inputs of a result, with a scenario, or a scenario"
        value = Verbatim(f"a {type(point).__name__}")
        return [Problem(path=path, requirement=requirement, value=value, hint=hint)]
    size = {name: as_int(point.get(name)) for name in SIZES}
    runs, steps = size["runs"], size["steps"]
    found = [
        *size_problems(steps=steps, runs=runs),
        *row_problems(1 if runs is None else runs, 1 if steps is None else steps),
        *([] if size["seed"] is None else seed_problems(size["seed"])),
        *([] if size["method"] is None else method_problems(size["method"])),
    ]
    return [
        Problem(path=f"{path}.{one.path}", requirement=one.requirement, value=one.value)
        for one in found
    ]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
