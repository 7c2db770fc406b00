"""The schedule of a replica's pipeline."""

from __future__ import annotations

from hindmost import _core
from hindmost.physics.job import Job


def schedule(job: Job) -> _core.Schedule:
    """Return the schedule of a job's pipeline; one stage takes its microbatches as 1F1B does."""
    layout = job.layout
    return _core.Schedule(
        kind=job.schedule,
        stages=layout.pipeline,
        chunks=layout.chunks,
        microbatches=job.n_microbatches,
    )
