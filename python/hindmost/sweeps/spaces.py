"""Points of a sweep: all combinations of some values, or samples of ranges."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from pydantic import ValidationError

from hindmost.arguments import as_int, bounds, drawn_seed, refuse, seed_problems
from hindmost.errors import Problem, ScenarioError
from hindmost.law import Law, LawModel
from hindmost.scenario.fields import field_problems
from hindmost.strict import Strict

if TYPE_CHECKING:
    from numpy.typing import NDArray

Design = Literal["latin-hypercube", "sobol"]
DESIGNS = ("latin-hypercube", "sobol")
"""How samples fill a space."""

MAX_POINTS = 1_000_000
"""Points of a grid or of a sample, at most."""

Point = dict[str, Any]


class Takes(Protocol):
    """What a key path takes: a range, values, a law, or an unknown of a scenario."""

    def at(self, share: float, /) -> Any:
        """Return the value below which a share of them lies."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """All numbers between two.

    Attributes
    ----------
    low, high : float
        The two.
    is_log : bool
        Whether the logarithm is uniform, and not the number.
    is_integer : bool
        Whether only whole numbers are meant.
    """

    low: float
    high: float
    is_log: bool = False
    is_integer: bool = False

    def at(self, share: float, /) -> float | int:
        """Return the number below which a share of them lies; of whole ones each is as likely."""
        if self.is_integer:
            n = int(self.high) - int(self.low) + 1
            return int(self.low) + min(int(share * n), n - 1)
        if self.is_log:
            return float(self.low * (self.high / self.low) ** share)
        return self.low + (self.high - self.low) * share

    def values(self, n: int) -> list[float | int]:
        """Return `n` numbers, equally far from each other, both ends among them."""
        if n == 1:
            return [self.low]
        of = Range(low=self.low, high=self.high, is_log=self.is_log)
        found = [of.at(place / (n - 1)) for place in range(n)]
        found[-1] = self.high
        if self.is_integer:
            return list(dict.fromkeys(round(value) for value in found))
        return found


@dataclass(frozen=True)
class _Choices:
    """Some values, each as likely."""

    values: Sequence[Any]

    def at(self, share: float, /) -> Any:
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class _Quantiles:
    """Numbers of a law."""

    law: LawModel

    def at(self, share: float, /) -> float:
        return float(self.law.ppf(share))


def grid(over: Mapping[str, Iterable[Any]]) -> list[Point]:
    """Return all combinations of values, the last key changing fastest.

    Parameters
    ----------
    over
        The values of each key path.

    Raises
    ------
    ScenarioError
        If a key path has no values, or there are more than a million combinations.

    Examples
    --------
    >>> import hindmost as hm
    >>> hm.grid({"layout.tensor": [4, 8], "layout.pipeline": [1, 2]})[1]
    {'layout.tensor': 4, 'layout.pipeline': 2}
    """
    lists = {path: _listed(path, values) for path, values in over.items()}
    refuse(
        [
            Problem(path=f"over.{path}", requirement="must have at least one value")
            for path, values in lists.items()
            if not values
        ]
    )
    n = math.prod(map(len, lists.values()))
    if n > MAX_POINTS:
        requirement = f"must make at most {MAX_POINTS:,} points"
        hint = "samples fill a space with fewer"
        refuse([Problem(path="over", requirement=requirement, value=n, hint=hint)])
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def sampled(
    over: Mapping[str, Any],
    n: int,
    *,
    design: Design = "latin-hypercube",
    seed: int | None = None,
) -> list[Point]:
    """Return points that fill a space evenly.

    Parameters
    ----------
    over
        What each key path takes: a pair of numbers, any number between which is meant, and of whole
        numbers any whole one; a list of three values or more, or of others than numbers, each as
        likely; or a law, such as those of ``[unknowns]``.
    n
        Points.
    design
        ``latin-hypercube``: of each key path by itself, one value in each of `n` equal parts, in
        random order. ``sobol``: a scrambled Sobol sequence, which fills all combinations evenly,
        best with a power of two; SciPy draws it.
    seed
        Seed of the order; drawn by the operating system if omitted.

    Raises
    ------
    ScenarioError
        For a key path that takes nothing, another design, or SciPy missing for ``sobol``.

    Examples
    --------
    >>> import hindmost as hm
    >>> space = {"pools.h100.software_efficiency": (0.5, 1.0), "layout.tensor": [2, 4, 8]}
    >>> len(hm.sampled(space, 16, seed=1))
    16
    """
    n, seed = as_int(n), as_int(seed)
    refuse(
        [
            *bounds("n", n, 1, MAX_POINTS),
            *([] if seed is None else seed_problems(seed)),
            *design_problems(design),
        ]
    )
    seed = drawn_seed() if seed is None else seed
    takes = {path: _takes(path, values) for path, values in over.items()}
    # Unknowns of one random stream are one: they move together.
    streams = {path: getattr(taken, "stream", path) for path, taken in takes.items()}
    columns = {stream: place for place, stream in enumerate(dict.fromkeys(streams.values()))}
    draw = _sobol if design == "sobol" else _latin_hypercube
    return [
        {path: taken.at(row[columns[streams[path]]]) for path, taken in takes.items()}
        for row in draw(n, len(columns), seed).tolist()
    ]


def design_problems(design: str) -> list[Problem]:
    """Return the problem of a design, if there is no such one."""
    if design in DESIGNS:
        return []
    requirement = f"must be one of {', '.join(DESIGNS)}"
    return [Problem(path="design", requirement=requirement, value=design)]


def _listed(path: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        requirement = "must be a list of values"
        refuse([Problem(path=f"over.{path}", requirement=requirement, value=values)])
    return list(values)


def _takes(path: str, values: Any) -> Takes:
    """Return what a key path takes: a range, a law, or some values."""
    if isinstance(values, LawModel):
        return _Quantiles(values)
    if hasattr(values, "at"):
        takes: Takes = values
        return takes
    if isinstance(values, Mapping):
        return _Quantiles(_law(path, values))
    listed = _listed(path, values)
    if not listed:
        refuse([Problem(path=f"over.{path}", requirement="must have at least one value")])
    is_number = [isinstance(one, int | float) and not isinstance(one, bool) for one in listed]
    if not (isinstance(values, tuple) and len(listed) == 2 and all(is_number)):
        return _Choices(listed)
    low, high = listed
    if not (low < high and math.isfinite(high - low)):
        requirement = "must be two finite numbers, the smaller first"
        refuse([Problem(path=f"over.{path}", requirement=requirement, value=listed)])
    return Range(low=low, high=high, is_integer=all(isinstance(one, int) for one in listed))


class _OfKey(Strict):
    """What a key path takes, where that is a law."""

    law: Law


def _law(path: str, table: Mapping[str, Any]) -> LawModel:
    try:
        found: LawModel = _OfKey(law=dict(table)).law  # type: ignore[arg-type]
    except ValidationError as error:
        raise ScenarioError(
            replace(problem, path=f"over.{path}{problem.path.removeprefix('law')}")
            for problem in field_problems(error, _OfKey)
        ) from None
    return found


def _latin_hypercube(n: int, n_keys: int, seed: int) -> NDArray[np.float64]:
    """Return shares of shape (n, keys): of each key one in each of n equal parts."""
    random = np.random.Generator(np.random.Philox(key=seed))
    orders = random.random((n, n_keys)).argsort(axis=0, kind="stable")
    shares: NDArray[np.float64] = (orders + random.random((n, n_keys))) / n
    return shares


def _sobol(n: int, n_keys: int, seed: int) -> NDArray[np.float64]:
    try:
        from scipy.stats import qmc
    except ImportError:
        requirement = "takes SciPy, which is not installed"
        hint = "pip install scipy, or design = latin-hypercube"
        raise ScenarioError(
            [Problem(path="design", requirement=requirement, value="sobol", hint=hint)]
        ) from None
    if n_keys == 0:
        return np.empty((n, 0))
    # SciPy spawns a generator of its own, which one of a plain key cannot.
    drawn = qmc.Sobol(n_keys, seed=np.random.default_rng(seed))
    # A power of two is drawn, which has no warning, and the first ones are taken.
    shares: NDArray[np.float64] = drawn.random_base2(max(0, math.ceil(math.log2(n))))[:n]
    return shares
