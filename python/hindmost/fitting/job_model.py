"""The model of a log of the whole job: white noise, drift and pauses of its steps."""

from __future__ import annotations

import math

import numpy as np

from hindmost.fitting.ar1 import Measured
from hindmost.fitting.common_steps import pauses_of, white_and_drift
from hindmost.fitting.estimate import normal
from hindmost.fitting.left_out import left_out
from hindmost.fitting.log_steps import LogSteps
from hindmost.fitting.noise import resolution
from hindmost.fitting.parts import Parts
from hindmost.fitting.rare import rare_of
from hindmost.fitting.stall_pattern import pause_pattern


def fit_job(log: LogSteps, *, seed: int = 0) -> Parts:
    """Return what the step times of a job say of its causes.

    Notes
    -----
    ``ln t[s] = mean + drift[s] + white[s]``, and in few steps a pause is added to t. All ranks wait
    for the slowest one in each step, so the white noise is that of a maximum over ranks. Neither
    their speeds nor their own noise can be told.
    """
    seconds = [one.seconds for one in log.job]
    pauses = pauses_of(seconds)
    usual = [
        Measured(
            times=one.steps[rare.is_usual],
            values=np.log(one.seconds[rare.is_usual]),
            averaged=one.averaged[rare.is_usual],
        )
        for one, rare in zip(log.job, pauses, strict=True)
    ]
    usual = [one for one in usual if len(one.values)]
    common, drift, error = white_and_drift(usual, seed=seed)
    n_steps = sum(len(one.values) for one in usual)
    median_s = math.exp(float(np.median(np.concatenate([one.values for one in usual]))))
    extra = [
        one.excess_s[one.is_pause] * stretch.averaged[one.is_pause]
        for one, stretch in zip(pauses, log.job, strict=True)
    ]
    chances = sum(
        float(stretch.averaged[~(one.is_warmup | one.is_fast)].sum())
        for one, stretch in zip(pauses, log.job, strict=True)
    )
    return Parts(
        median_s=normal("median-step", "s", median_s, median_s * error),
        n_steps=n_steps,
        common=common,
        drift=drift,
        pause=rare_of(
            "pause",
            np.concatenate(extra),
            chances=round(chances),
            threshold_s=median_s * math.expm1(pauses[0].threshold),
        ),
        notes=(
            "a log of the whole job does not tell how ranks and nodes differ: their laws stay "
            "those of what this is laid over",
            *pause_pattern(
                [stretch.steps[one.is_pause] for one, stretch in zip(pauses, log.job, strict=True)]
            ),
            *left_out(
                n_warmup=sum(int(one.is_warmup.sum()) for one in pauses),
                n_fast=sum(int(one.is_fast.sum()) for one in pauses),
                has_drift=drift is not None,
                n_steps=n_steps,
                resolution=resolution(np.concatenate(seconds)),
            ),
        ),
    )
