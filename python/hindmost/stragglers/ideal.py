"""Which operations of a recorded job are made ideal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.stragglers.recorded_job import KINDS, RecordedJob

Ideal = Mapping[str, int | str | Sequence[int] | Sequence[str]] | str | None
"""What is made ideal: operations of some ``type`` on workers of some ``rank``, ``dp_rank`` and
``stage``, each one or several; ``"all"`` of them, or None."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "forward-pp-comm": ("forward-send", "forward-recv"),
    "backward-pp-comm": ("backward-send", "backward-recv"),
}
"""Types that count as one: both ends of the transfers between stages."""
GROUP_OF = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
KEYS = ("rank", "dp_rank", "stage", "type")


class Chosen(NamedTuple):
    """Operations of some types on some workers, in the form that the core takes."""

    kinds: NDArray[np.bool_]
    """Whether each of `KINDS` is chosen."""
    workers: NDArray[np.bool_]
    """Whether each worker is, of shape (stages, replicas)."""

    @classmethod
    def all_of(cls, job: RecordedJob) -> Chosen:
        """Return all operations of a job."""
        return cls(np.ones(len(KINDS), bool), np.ones((job.n_stages, job.n_replicas), bool))

    @classmethod
    def none_of(cls, job: RecordedJob) -> Chosen:
        """Return no operation of a job."""
        return cls.all_of(job).but_kinds(KINDS)

    def but_kinds(self, kinds: Iterable[str]) -> Chosen:
        """Return these without those of some types."""
        left_out = [KINDS.index(kind) for kind in kinds]
        return self._replace(
            kinds=np.where(np.isin(np.arange(len(KINDS)), left_out), False, self.kinds)
        )

    def only_workers(self, workers: NDArray[np.bool_]) -> Chosen:
        """Return those of some workers."""
        return self._replace(workers=self.workers & workers)


def chosen(job: RecordedJob, ideal: Ideal) -> Chosen:
    """Return the operations that are made ideal.

    Raises
    ------
    ScenarioError
        If a key or a type is not known, or the job has no such rank or stage.
    """
    if ideal is None:
        return Chosen.none_of(job)
    if ideal == "all":
        return Chosen.all_of(job)
    if not isinstance(ideal, Mapping) or not ideal:
        hint = f"a dictionary with {', '.join(KEYS)}, or 'all'"
        requirement = "must say what is made ideal"
        raise ScenarioError(
            [Problem(path="ideal", requirement=requirement, value=ideal, hint=hint)]
        )
    found = Chosen.all_of(job)
    ranks = np.array(job.ranks)
    stages, replicas = np.indices(ranks.shape)
    numbers: dict[str, Any] = {"rank": ranks, "dp_rank": replicas, "stage": stages}
    for key, value in ideal.items():
        wanted = _several(value)
        if key == "type":
            found = found.but_kinds(set(KINDS) - set(_kinds(wanted)))
        elif key in numbers:
            _check(key, wanted, numbers[key])
            found = found.only_workers(np.isin(numbers[key], wanted))
        else:
            hint = did_you_mean(str(key), KEYS, or_list=False)
            requirement = f"must be one of {', '.join(KEYS)}"
            raise ScenarioError(
                [Problem(path="ideal", requirement=requirement, value=key, hint=hint)]
            )
    return found


def _several(value: Any) -> list[Any]:
    is_one = isinstance(value, str) or not isinstance(value, Iterable)
    return [value] if is_one else list(value)


def _kinds(wanted: Iterable[Any]) -> list[str]:
    """Return types by their names, each group as the types that it has."""
    names = (*KINDS, *GROUPS)
    found: list[str] = []
    for name in wanted:
        if name not in names:
            requirement = f"must be one of {', '.join(names)}"
            hint = did_you_mean(str(name), names, or_list=False)
            raise ScenarioError(
                [Problem(path="ideal.type", requirement=requirement, value=name, hint=hint)]
            )
        found += GROUPS.get(name, (name,))
    return found


def _check(key: str, wanted: Sequence[Any], there: NDArray[Any]) -> None:
    for number in wanted:
        is_number = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if is_number and number in there:
            continue
        known = np.unique(there)
        listed = ", ".join(map(str, known[:16])) + (", ..." if known.size > 16 else "")
        requirement = f"must be one of those that are recorded: {listed}"
        problem = Problem(path=f"ideal.{key}", requirement=requirement, value=number)
        raise ScenarioError([problem])
