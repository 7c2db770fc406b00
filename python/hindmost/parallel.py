"""Many simulations at once, on all cores."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from hindmost.engines import Progress

if TYPE_CHECKING:
    from concurrent.futures import Future

AHEAD = 4
"""Items that a worker is given at a time, at most."""

Item = TypeVar("Item", contravariant=True)
Value = TypeVar("Value", covariant=True)


class Work(Protocol[Item, Value]):
    """One of many pieces of work."""

    def __call__(self, item: Item, /, *, threads: int, progress: Progress | None) -> Value:
        """Do it on so many threads, and call `progress` now and then, which may stop it."""


@dataclass(frozen=True)
class Task:
    """Pieces of work, and what is made of them all.

    Attributes
    ----------
    items : sequence
        What is worked on.
    work : Work
        Does one of them.
    finish : Callable
        Returns what the task comes to, of all that its work has made, in the order of items.
    """

    items: Sequence[Any]
    work: Work[Any, Any]
    finish: Callable[[list[Any]], Any]


def all_of(tasks: Sequence[Task], *, threads: int, progress: Progress | None = None) -> list[Any]:
    """Return what each of several tasks comes to, with all of their items done side by side.

    So no thread waits for the last item of one task before the next one begins. Parameters are
    those of `in_parallel`.
    """
    items = [(task, item) for task in tasks for item in task.items]

    def one(pair: tuple[Task, Any], /, *, threads: int, progress: Progress | None) -> Any:
        task, item = pair
        return task.work(item, threads=threads, progress=progress)

    found = iter(in_parallel(items, one, threads=threads, progress=progress))
    return [task.finish(list(islice(found, len(task.items)))) for task in tasks]


class _StoppedError(Exception):
    """Another piece of work failed, or the caller was interrupted."""


def in_parallel(
    items: Sequence[Any],
    work: Work[Any, Any],
    *,
    threads: int,
    progress: Progress | None = None,
) -> list[Any]:
    """Return what some work makes of each item, in their order.

    Plans are made by Python and simulated by the core, which lets go of the interpreter: while one
    item is planned, others are simulated. An interrupt or an error stops all of them.

    Parameters
    ----------
    items
        What is worked on.
    work
        Called with an item, the threads for it and a progress to call; from other threads if
        several items share the threads.
    threads
        Threads for all of them.
    progress
        Called with the items that are done and all of them; for a single one with its own
        progress.
    """
    if len(items) <= 1 or threads == 1:
        found = []
        for number, item in enumerate(items):
            alone = progress if len(items) == 1 else None
            # Its own progress is called here, so that an interrupt of it is heard.
            found.append(work(item, threads=threads, progress=alone))
            if progress is not None and len(items) > 1:
                progress(number + 1, len(items))
        return found
    # Imported where it is needed, for a quick start without it.
    from concurrent.futures import ThreadPoolExecutor
    from queue import SimpleQueue

    n_workers = min(threads, len(items))
    stop = threading.Event()

    def look(_done: int, _total: int) -> None:
        if stop.is_set():
            raise _StoppedError

    def one(item: Any) -> Any:
        look(0, 0)
        return work(item, threads=threads // n_workers, progress=look)

    values: list[Any] = [None] * len(items)
    n_done, waiting = 0, iter(enumerate(items))
    # Items that nobody works on yet are not handed over: each of them would take a kilobyte.
    pending: dict[Future[Any], int] = {}
    done: SimpleQueue[Future[Any]] = SimpleQueue()
    with ThreadPoolExecutor(n_workers) as pool:
        try:
            while True:
                for place, item in islice(waiting, AHEAD * n_workers - len(pending)):
                    future = pool.submit(one, item)
                    pending[future] = place
                    future.add_done_callback(done.put)
                if not pending:
                    return values
                future = done.get()
                values[pending.pop(future)] = future.result()
                n_done += 1
                if progress is not None:
                    progress(n_done, len(items))
        except BaseException:
            stop.set()
            for future in pending:
                future.cancel()
            raise
