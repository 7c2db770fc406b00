"""What slices take of a scenario's pod, and what moves of running ones would gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hindmost._core import __version__
from hindmost.arguments import refuse
from hindmost.errors import Problem
from hindmost.scenario import Changes, Scenario, to_table
from hindmost.scenario.change import as_changes
from hindmost.scenario.load import load, with_changes
from hindmost.slices.account import SlicesAccount
from hindmost.slices.moves import Moves
from hindmost.slices.pack import Running

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class PlacedSlices:
    """What slices take of a scenario's pod.

    Attributes
    ----------
    account : SlicesAccount
        Shares of cubes placed and of time kept.
    moves : Moves or None
        What moves of running slices would gain, where some were given.
    """

    account: SlicesAccount
    moves: Moves | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`frame` as plain tables."""
        return self.account.rows_by_size()

    @property
    def frame(self) -> pl.DataFrame:
        """One row a size of slices and placement, as `SlicesAccount.by_size` says."""
        return self.account.by_size()

    def document(self) -> dict[str, Any]:
        """Return all of it as plain tables, as ``slices --format json`` prints it."""
        moves = {} if self.moves is None else {"moves": self.moves.document()}
        return {
            "inputs": {"scenario": to_table(self.account.scenario), "version": __version__},
            "slices": self.account.document(),
            **moves,
        }


def placed_slices(
    scenario: Scenario | str | Path,
    *,
    running: Sequence[Running] = (),
    waiting: Sequence[int] = (),
    down: Sequence[int] = (),
    moves: int | None = None,
    lost_s: float | None = None,
    changes: Changes | None = None,
    changes_from: str = "changes",
) -> PlacedSlices:
    """Return what slices take of a scenario's pod, with switches and without.

    Parameters
    ----------
    scenario
        A scenario with [slices], or a name or path that `load` takes.
    running, waiting, down, moves, lost_s
        As in `SlicesAccount.defragment`; with any of the first two, what up to `moves` moves gain
        (1 by default) is found, too.
    changes
        Key paths and their new values, laid over the scenario.
    changes_from
        What problems of these are named by.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.placed_slices("tpu-v4-optical", changes={"slices.host_availability": 0.99})
    >>> round(found.account.share_placed, 6)
    0.742047
    """
    if isinstance(scenario, Scenario):
        scenario = with_changes(scenario, as_changes(changes), changes_from=changes_from)
    else:
        scenario = load(scenario, as_changes(changes), changes_from=changes_from)
    if scenario.slices is None:
        hint = "the presets tpu-v4-optical and tpu-v4-static have slices"
        requirement = "is missing"
        refuse([Problem(path="slices", requirement=requirement, hint=hint, source=scenario.source)])
    account = SlicesAccount(scenario=scenario)
    if not running and not waiting:
        given = {"down": len(down), "moves": moves, "lost_s": lost_s}
        requirement = "needs running or waiting slices"
        refuse(
            [
                Problem(path=name, requirement=requirement, value=value)
                for name, value in given.items()
                if value
            ]
        )
        return PlacedSlices(account=account)
    found = account.defragment(
        running, waiting, down=down, moves=1 if moves is None else moves, lost_s=lost_s
    )
    return PlacedSlices(account=account, moves=found)
