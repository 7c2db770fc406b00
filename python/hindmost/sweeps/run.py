"""Points of a sweep on an executor: in whatever order, each of them kept as soon as it is done."""

from __future__ import annotations

import json
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass

from hindmost.engines import Progress
from hindmost.errors import HindmostError, plain
from hindmost.parallel import in_parallel
from hindmost.sweeps.inputs import Inputs, key_of
from hindmost.sweeps.rows import Rows
from hindmost.sweeps.store import Store
from hindmost.sweeps.work import OtherVersionError, row_of

MOST_IN_FLIGHT = 128
"""Points that an executor is given at a time, at most: each holds the text of its inputs."""
LOOK_S = 0.1
"""Seconds after which an interrupt is looked for."""


class ExecutorError(HindmostError):
    """An executor can do no more work, such as a pool of which a process was killed."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """A sweep on its way.

    Attributes
    ----------
    inputs : Inputs
        The points.
    store : Store or None
        Where rows are kept.
    retries : int
        How often a point is tried again that fails for another reason than its scenario.
    """

    inputs: Inputs
    store: Store | None
    retries: int

    def rows(self, executor: Executor | None, *, threads: int, progress: Progress | None) -> Rows:
        """Return the rows of all points; those that the store has are not simulated again.

        Parameters
        ----------
        executor
            Who simulates; None for threads of this process.
        threads
            How many of these.
        progress
            Called with the points that are done and all of them.

        Raises
        ------
        ExecutorError
            If the executor breaks; what is done is in the store.
        """
        rows = Rows(len(self.inputs))
        left = [place for place in range(len(self.inputs)) if not self._is_kept(place, rows)]
        n_known = len(self.inputs) - len(left)

        def tell(done: int, _total: int) -> None:
            if progress is not None:
                progress(n_known + done, len(self.inputs))

        tell(0, 0)
        if executor is None:
            self._in_threads(left, rows, threads=threads, progress=tell)
        else:
            self._on_executor(executor, left, rows, progress=tell)
        return rows

    def _is_kept(self, place: int, rows: Rows) -> bool:
        row = None if self.store is None else self.store.read(key_of(self.inputs.text(place)))
        if row is not None:
            rows.take(place, row)
        return row is not None

    def _done(self, place: int, row: str, rows: Rows) -> None:
        if self.store is not None:
            text = self.inputs.text(place)
            self.store.write(key_of(text), text, row)
        rows.take(place, json.loads(row))

    def _in_threads(self, left: list[int], rows: Rows, *, threads: int, progress: Progress) -> None:
        def one(place: int, /, *, threads: int, progress: Progress | None) -> None:
            # What a point takes is a part of a sweep; its own progress is not shown.
            del threads
            row = row_of(self.inputs.text(place), progress=progress)
            self._done(place, row, rows)

        in_parallel(left, one, threads=threads, progress=progress)

    def _on_executor(
        self, executor: Executor, left: list[int], rows: Rows, *, progress: Progress
    ) -> None:
        tries = dict.fromkeys(left, 0)
        waiting = list(reversed(left))
        pending: dict[Future[str], int] = {}
        n_done = 0
        try:
            while waiting or pending:
                while waiting and len(pending) < MOST_IN_FLIGHT:
                    place = waiting.pop()
                    pending[executor.submit(row_of, self.inputs.text(place))] = place
                done, _ = wait(pending, timeout=LOOK_S, return_when=FIRST_COMPLETED)
                for future in done:
                    place = pending.pop(future)
                    if self._is_done(future, place, tries, rows):
                        n_done += 1
                    else:
                        waiting.append(place)
                if done:
                    progress(n_done, len(left))
        except BrokenExecutor as error:
            kept = "" if self.store is None else f"; {n_done:,} more points are in the store"
            raise ExecutorError(f"the executor broke: {plain(str(error))}{kept}") from error
        finally:
            for future in pending:
                future.cancel()

    def _is_done(self, future: Future[str], place: int, tries: dict[int, int], rows: Rows) -> bool:
        """Take what a point has come to; return whether that is not to be tried again."""
        error = future.exception()
        if error is None:
            self._done(place, future.result(), rows)
            return True
        if isinstance(error, BrokenExecutor | OtherVersionError) or not isinstance(
            error, Exception
        ):
            raise error
        tries[place] += 1
        if tries[place] <= self.retries:
            return False
        # Not kept: another sweep tries it again.
        times = "once" if tries[place] == 1 else f"{tries[place]} times"
        rows.refuse(place, f"failed {times}: {type(error).__name__}: {error}")
        return True
