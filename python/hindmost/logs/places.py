"""Files of one job: those that follow each other, and those of the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from hindmost.logs.source import Source


def by_place(
    sources: Sequence[Source], begin: Callable[[Source], float], latest: Callable[[], float]
) -> Iterator[tuple[int, Source]]:
    """Yield files by the time of their begin, each with the place of its process in the job.

    A file that begins after another's end is of the process that took its place. One that begins
    before is of another process of the same time, such as another rank.

    Parameters
    ----------
    sources
        The files.
    begin
        Returns the first time stamp of a file, or 0 if it has none.
    latest
        Returns the last time stamp of what has been read so far.
    """
    ends: list[float] = []
    for source in sorted(sources, key=begin):
        first = begin(source)
        place = next((n for n, end in enumerate(ends) if end <= first), len(ends))
        yield place, source
        ends[place : place + 1] = [latest()]
