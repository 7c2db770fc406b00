"""Noise that wanders: each of nine published systems predicted from the eight others.

Published are the robust deviation of step times within a run, its white part, correlations of
steps, and slow steps. Four numbers describe them, and each is fitted on the other systems alone:

- the seconds by which steps vary from one to the next, the same for steps of any length;
- the deviation of what drifts, one for Hopper and one for Blackwell;
- the seconds in which its correlation falls to 1/e;
- how often a GPU is slow for longer than 0.3 s.

What they do not explain is scatter: the law of an unknown, from which an interval follows.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage, stats

import hindmost as hm
from tests.validation.families import DATA

Vector = NDArray[np.float64]

PRESET = "measured-drift"
NOT_VERIFIED = "Result not verified by MLCommons Association"
LIMIT = 1.5
"""Factor by which a deviation may be off."""
LEVEL = 0.9
SEED = 7
RUNS = 48
POINTS = 256
"""Points of the unknowns, each simulated as often as a system ran."""
RUNS_OF_A_SYSTEM = 3
LAGS = (1, 5, 10)
MAD_TO_SIGMA = 1.4826
SLOW_S = 0.3
"""Seconds above its neighbours from which a step counts as slow."""
NEIGHBOURS = 11
LONGEST_S = 40.0
"""End of the law of slow steps, a third beyond the longest one of them."""
BLACKWELL = ("B200", "GB200")
SHAPE = 4.0
"""Shape of the gamma law of white noise; its deviation is twice the scale."""
CLIPPED = 4.0
"""Robust deviations at which steps are clipped before they are correlated."""


@dataclass(frozen=True, kw_only=True)
class System:
    """A published system.

    Attributes
    ----------
    name : str
        Who ran it, and on which GPUs.
    n_gpus, n_steps : int
        GPUs, and steps that were not masked, of all runs.
    step_s : float
        Seconds of the median step.
    sigma, white : float
        Robust deviation of steps over their median, and its white part.
    lags : tuple of float
        Correlations of steps 1, 5 and 10 apart.
    p99 : float
        99th percentile of steps over their median, less 1.
    n_slow : int
        Steps slower than their neighbours by more than 0.3 s.
    total_s : float
        Seconds of all steps.
    excess_s : tuple of float
        By how much these are slower.
    """

    name: str
    n_gpus: int
    n_steps: int
    step_s: float
    sigma: float
    white: float
    lags: tuple[float, ...]
    p99: float
    n_slow: int
    total_s: float
    excess_s: tuple[float, ...]

    @property
    def is_blackwell(self) -> bool:
        """Whether its GPUs are of the later generation."""
        return self.name.split(", ")[1].split()[0] in BLACKWELL

    @property
    def run_s(self) -> float:
        """Seconds of a run."""
        return self.n_steps / RUNS_OF_A_SYSTEM * self.step_s

    @property
    def white_s(self) -> float:
        """Seconds by which steps vary from one to the next."""
        return self.white * self.step_s

    @property
    def correlation_s(self) -> float:
        """Seconds in which correlations fall to 1/e, as from lag 1 to lag 10."""
        return (LAGS[-1] - LAGS[0]) * self.step_s / math.log(self.lags[0] / self.lags[-1])

    @property
    def slow_per_gpu_s(self) -> float:
        """Slow steps a GPU and second; half a step where there was none."""
        return max(self.n_slow, 0.5) / self.total_s / self.n_gpus

    def drift_sigma(self, correlation_s: float) -> float:
        """Return the deviation of the drift that a run of this length shows that much of."""
        within = math.sqrt(self.sigma**2 - self.white**2)
        return within / math.sqrt(shown(self.run_s / correlation_s))


def shown(times: float) -> float:
    """Return the share of a drift's variance that a run shows, less that of its mean.

    Parameters
    ----------
    times
        Correlation times of a run.
    """
    return 1 - 2 / times**2 * (times - 1 + math.exp(-times))


@cache
def systems() -> tuple[System, ...]:
    """Return the nine systems with Llama-3.1-405B, in the order of their table."""
    table = pl.read_csv(DATA / "step_noise.csv").filter(
        pl.col("system").str.starts_with("Llama-3.1-405B, ")
    )
    steps = pl.read_csv(DATA / "mlperf_405b_steps.csv").filter(masked=0)
    found = []
    for row in table.iter_rows(named=True):
        name = row["system"].removeprefix("Llama-3.1-405B, ")
        own = steps.filter(system=name, n_gpus=row["n_gpus"])
        runs = [
            run["step_time_s"].to_numpy() for _, run in own.group_by("run", maintain_order=True)
        ]
        excess_s = np.concatenate([excess(run) for run in runs])
        slow_s = excess_s[excess_s > SLOW_S]
        found.append(
            System(
                name=name,
                n_gpus=row["n_gpus"],
                n_steps=row["n_steps"],
                step_s=row["step_s"],
                sigma=row["robust_sigma_percent"] / 100,
                white=row["white_sigma_percent"] / 100,
                lags=tuple(row[f"lag{lag}"] for lag in LAGS),
                p99=row["p99_over_median_percent"] / 100,
                n_slow=len(slow_s),
                total_s=float(sum(run.sum() for run in runs)),
                excess_s=tuple(slow_s.tolist()),
            )
        )
    return tuple(found)


def excess(times_s: Vector) -> Vector:
    """Return by how much steps are slower than the median of their neighbours."""
    above: Vector = times_s - ndimage.median_filter(times_s, NEIGHBOURS)
    return above


@dataclass(frozen=True, kw_only=True)
class Log:
    """What systems have in common of one number: its mean logarithm, and the scatter about it.

    Attributes
    ----------
    mean, sigma : float
        Of the logarithm.
    n : int
        Systems that the mean is of.
    freedom : int
        Degrees of freedom of the scatter.
    """

    mean: float
    sigma: float
    n: int
    freedom: int

    @property
    def value(self) -> float:
        """The number."""
        return math.exp(self.mean)

    def points(self, probabilities: Vector) -> Vector:
        """Return numbers of another system: Student's t, as the scatter is estimated, too."""
        t = stats.t(self.freedom).ppf(probabilities)
        numbers: Vector = np.exp(self.mean + self.sigma * math.sqrt(1 + 1 / self.n) * t)
        return numbers


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Numbers of a set of systems."""

    white_s: Log
    hopper: Log
    blackwell: Log
    correlation_s: Log
    slow_per_gpu_s: Log

    def drift(self, system: System) -> Log:
        """Return the deviation of what drifts on such GPUs."""
        return self.blackwell if system.is_blackwell else self.hopper


def fit(among: Sequence[System]) -> Fit:
    """Return the numbers of systems."""

    def log(values: Sequence[float], *, of_all: Log | None = None) -> Log:
        logs = np.log(values)
        if of_all is not None:
            return Log(
                mean=float(logs.mean()), sigma=of_all.sigma, n=len(logs), freedom=of_all.freedom
            )
        sigma = float(logs.std(ddof=1))
        return Log(mean=float(logs.mean()), sigma=sigma, n=len(logs), freedom=len(logs) - 1)

    correlation_s = log([system.correlation_s for system in among])
    sigmas = {
        generation: [
            system.drift_sigma(correlation_s.value)
            for system in among
            if system.is_blackwell == generation
        ]
        for generation in (False, True)
    }
    # Both generations scatter alike.
    squares = sum(((np.log(each) - np.log(each).mean()) ** 2).sum() for each in sigmas.values())
    freedom = len(among) - len(sigmas)
    scatter = Log(mean=0.0, sigma=math.sqrt(squares / freedom), n=len(among), freedom=freedom)
    return Fit(
        white_s=log([system.white_s for system in among]),
        hopper=log(sigmas[False], of_all=scatter),
        blackwell=log(sigmas[True], of_all=scatter),
        correlation_s=correlation_s,
        slow_per_gpu_s=log([system.slow_per_gpu_s for system in among]),
    )


@cache
def white_scale() -> float:
    """Return the robust deviation of differences, over the root of 2, for a gamma scale of 1."""
    p = (np.arange(2000) + 0.5) / 2000
    draws = stats.gamma(SHAPE).ppf(p)
    apart = np.abs(draws[:, np.newaxis] - draws).ravel()
    return float(MAD_TO_SIGMA * np.median(apart) / math.sqrt(2))


def changes(
    white_s: float, sigma: float, correlation_s: float, slow_per_gpu_s: float
) -> dict[str, float]:
    """Return the changes of the preset for these numbers."""
    return {
        "causes.jitter.law.scale": white_s / white_scale(),
        "causes.drift.law.sigma": sigma,
        "causes.drift.correlation_s": correlation_s,
        "causes.pause.per_hour": slow_per_gpu_s * 3600,
    }


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What runs show, as medians over them.

    Attributes
    ----------
    sigma, white : float
        Robust deviation over the median step, and its white part.
    lags : tuple of float
        Correlations of steps 1, 5 and 10 apart.
    p99 : float
        99th percentile over the median step, less 1.
    """

    sigma: float
    white: float
    lags: tuple[float, ...]
    p99: float


def statistics(times_s: Vector) -> Shown:
    """Return what runs show, one a row."""
    middle = np.median(times_s, axis=1, keepdims=True)
    x = times_s / middle - 1
    sigma = MAD_TO_SIGMA * np.median(np.abs(x), axis=1)
    differences = np.diff(x, axis=1)
    away = np.abs(differences - np.median(differences, axis=1, keepdims=True))
    white = MAD_TO_SIGMA * np.median(away, axis=1) / math.sqrt(2)
    most = CLIPPED * sigma[:, np.newaxis]
    clipped = np.clip(x, -most, most)
    lags = [
        np.median([np.corrcoef(run[:-lag], run[lag:])[0, 1] for run in clipped]) for lag in LAGS
    ]
    p99 = np.quantile(times_s, 0.99, axis=1) / middle[:, 0] - 1
    return Shown(
        sigma=float(np.median(sigma)),
        white=float(np.median(white)),
        lags=tuple(map(float, lags)),
        p99=float(np.median(p99)),
    )


def scenario(system: System) -> hm.Scenario:
    """Return a job of steps as long as a system's on as many GPUs, under the preset.

    Layouts were not published with the logs. Nothing here depends on them: all that the preset
    has acts on a GPU or on all of them, in steps.
    """
    text = f"""
name = "steps"
extends = ["{PRESET}"]
[models.small]
n_layers = 1
hidden = 128
n_heads = 1
n_kv_heads = 1
head_dim = 128
ffn_hidden = 128
vocabulary = 128
[pools.gpus]
gpu = "{"b200-sxm" if system.is_blackwell else "h100-sxm"}"
n_gpus = {system.n_gpus}
forward_s = {system.step_s / 3!r}
backward_s = {system.step_s * 2 / 3!r}
[fabric]
name = "infiniband-ndr"
noise.enabled = false
[workload]
model = "small"
seq_len = 128
microbatch_seqs = 1
n_microbatches = 1
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "steps.toml"
        path.write_text(text, encoding="utf-8")
        return hm.load(path)


def simulated(
    compiled: hm.Compiled, system: System, with_: dict[str, float], *, runs: int
) -> Shown:
    """Return what runs as long as a system's show with some changes."""
    steps = round(system.n_steps / RUNS_OF_A_SYSTEM)
    result = compiled.simulate(seed=SEED, runs=runs, steps=steps, changes=with_)
    assert result.inputs["method"] == "order-statistics"
    return statistics(result.steps["step_time_s"].to_numpy().reshape(runs, steps))


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A system, and what the others say of it.

    Attributes
    ----------
    system : System
        The system.
    fit : Fit
        Numbers of the eight others.
    shown : Shown
        What simulated runs with these show.
    low, high : float
        90% interval of the deviation.
    low_p99, high_p99 : float
        90% interval of the 99th percentile over the median, less 1.
    """

    system: System
    fit: Fit
    shown: Shown
    low: float
    high: float
    low_p99: float
    high_p99: float

    @property
    def ratio(self) -> float:
        """Predicted over published deviation."""
        return self.shown.sigma / self.system.sigma

    @property
    def is_within(self) -> bool:
        """Whether the deviation is predicted within the limit."""
        return 1 / LIMIT < self.ratio < LIMIT

    @property
    def is_inside(self) -> bool:
        """Whether the published deviation lies in the interval."""
        return self.low <= self.system.sigma <= self.high

    @property
    def is_tail_inside(self) -> bool:
        """Whether the published 99th percentile lies in its interval."""
        return self.low_p99 <= self.system.p99 <= self.high_p99


@cache
def predictions() -> tuple[Prediction, ...]:
    """Return each system as predicted from the others."""
    return tuple(_prediction(system) for system in systems())


def _prediction(system: System) -> Prediction:
    numbers = fit([other for other in systems() if other is not system])
    compiled = hm.compile(scenario(system))
    unknowns = (
        numbers.white_s,
        numbers.drift(system),
        numbers.correlation_s,
        numbers.slow_per_gpu_s,
    )
    shown = simulated(compiled, system, changes(*(one.value for one in unknowns)), runs=RUNS)
    rng = np.random.default_rng(SEED)
    points = np.transpose([one.points(rng.random(POINTS)) for one in unknowns])
    found = []
    for point in points.tolist():
        # Beyond these the core draws no law; the interval ends long before.
        point[2] = min(point[2], 1e7 * system.step_s)
        one = simulated(compiled, system, changes(*point), runs=RUNS_OF_A_SYSTEM)
        found.append((one.sigma, one.p99))
    ends = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    (low, low_p99), (high, high_p99) = ends.tolist()
    return Prediction(
        system=system,
        fit=numbers,
        shown=shown,
        low=low,
        high=high,
        low_p99=low_p99,
        high_p99=high_p99,
    )


@cache
def by_step_length() -> tuple[float, ...]:
    """Return predicted over published deviations by a power of the step's seconds alone."""
    ratios = []
    for system in systems():
        others = [other for other in systems() if other is not system]
        x, y = (np.log([getattr(one, key) for one in others]) for key in ("step_s", "sigma"))
        slope, start = np.polyfit(x, y, 1)
        ratios.append(math.exp(start + slope * math.log(system.step_s)) / system.sigma)
    return tuple(ratios)


@cache
def slow_alpha() -> float:
    """Return the exponent of a bounded Pareto law of all slow steps, by maximum likelihood."""
    logs = np.log(np.concatenate([system.excess_s for system in systems()]) / SLOW_S)
    top = math.log(LONGEST_S / SLOW_S)

    def slope(alpha: float) -> float:
        return float(1 / alpha - top / math.expm1(alpha * top) - logs.mean())

    low, high = 1e-3, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return low


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """A system with GPT-3, whose steps hardly drift.

    Attributes
    ----------
    name : str
        Round of the benchmark.
    n_gpus : int
        GPUs.
    shown : Shown
        What its runs show.
    white_s : float
        Seconds by which steps vary from one to the next.
    """

    name: str
    n_gpus: int
    shown: Shown
    white_s: float


@cache
def quiet() -> tuple[Quiet, ...]:
    """Return the systems with GPT-3 on Eos."""
    summary = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv")
    batch = summary.select("round", "system", "n_accel", "global_batch")
    steps = pl.read_csv(DATA / "mlperf_gpt3_h100_steps.csv").join(batch, on=["round", "system"])
    # An evaluation follows every 24,576 sequences.
    period = (24_576 / pl.col("global_batch")).ceil().cast(pl.Int64)
    steps = steps.filter(
        pl.col("system").str.starts_with("eos")
        & (pl.col("record_idx") > 1)
        & (pl.col("record_idx") % period != 0)
    )
    found = []
    for (name, n_gpus), own in steps.group_by("round", "n_accel", maintain_order=True):
        runs = [
            run["train_step_time_s"].to_numpy()
            for _, run in own.sort("record_idx").group_by("run", maintain_order=True)
        ]
        each = [statistics(run[np.newaxis]) for run in runs]
        shown = Shown(
            sigma=float(np.median([one.sigma for one in each])),
            white=float(np.median([one.white for one in each])),
            lags=tuple(np.median([one.lags for one in each], axis=0).tolist()),
            p99=float(np.median([one.p99 for one in each])),
        )
        step_s = float(np.median(np.concatenate(runs)))
        found.append(
            Quiet(name=str(name), n_gpus=int(n_gpus), shown=shown, white_s=shown.white * step_s)
        )
    return tuple(sorted(found, key=lambda one: (one.name, one.n_gpus)))


def section() -> str:
    """Return the section of docs/validation.md."""
    found = predictions()
    numbers = fit(systems())
    within = sum(one.is_within for one in found)
    inside = sum(one.is_inside for one in found)
    tails = sum(one.is_tail_inside for one in found)
    missed = [f"{one.system.name}, {one.system.n_gpus:,}" for one in found if not one.is_inside]
    alone = sum(1 / LIMIT < ratio < LIMIT for ratio in by_step_length())
    head = ["system", "GPUs", "step, s", "published", "predicted", "ratio", "90% interval"]
    deviations = _table(
        head,
        [
            [
                one.system.name,
                f"{one.system.n_gpus:,}",
                f"{one.system.step_s:.4g}",
                f"{one.system.sigma:.3%}",
                f"{one.shown.sigma:.3%}",
                f"{one.ratio:.2f}",
                f"{one.low:.2%} to {one.high:.2%}",
            ]
            for one in found
        ],
    )
    head = ["system", "GPUs", "white part", "lag 1", "lag 5", "lag 10", "p99 over p50", "interval"]
    parts = _table(
        head,
        [
            [
                one.system.name,
                f"{one.system.n_gpus:,}",
                f"{one.system.white:.3%}, {one.shown.white:.3%}",
                *(
                    f"{published:.2f}, {shown:.2f}"
                    for published, shown in zip(one.system.lags, one.shown.lags, strict=True)
                ),
                f"{one.system.p99:+.1%}, {one.shown.p99:+.1%}",
                f"{one.low_p99:+.1%} to {one.high_p99:+.1%}",
            ]
            for one in found
        ],
    )
    most = max(found, key=lambda one: one.system.p99)
    times_s = [system.correlation_s for system in systems()]
    gpt = [one for one in quiet() if one.name == "v3.1"]
    small, large = ([one for one in gpt if (one.n_gpus < 1000) == few] for few in (True, False))
    newer = [one for one in quiet() if one.name != "v3.1"]

    def lags(among: list[Quiet]) -> str:
        first = [one.shown.lags[0] for one in among]
        return f"{min(first):z.2f} to {max(first):z.2f}"

    def white_ms(among: list[Quiet]) -> str:
        seconds = [one.white_s * 1e3 for one in among]
        return f"{min(seconds):.1f} to {max(seconds):.1f} ms"

    return f"""## Noise that wanders

Step times of Llama-3.1-405B vary by 0.19-1.0% within a run, of which 0.04-0.45% is new in each
step; the rest is alike in steps next to each other, and nearly as much in steps ten apart. The
preset `{PRESET}` has four numbers for this, of which each system here has those of the
**eight others**:

- {numbers.white_s.value * 1e3:.1f} ms of white noise in each step, however long it is; systems
  scatter by a factor of {math.exp(numbers.white_s.sigma):.2f};
- a drift of {numbers.hopper.value:.2%} on H100 and H200, and of {numbers.blackwell.value:.2%} on
  B200 and GB200; by {math.exp(numbers.hopper.sigma):.2f};
- its correlation time of {numbers.correlation_s.value:.0f} s; by
  {math.exp(numbers.correlation_s.sigma):.1f}. In the slowest systems it is as long as a run or
  longer, which runs do not bound;
- {numbers.slow_per_gpu_s.value * 1e7:.1f}e-7 slow steps a GPU and second, more than 0.3 s longer
  than their neighbours; by {math.exp(numbers.slow_per_gpu_s.sigma):.1f}.

The numbers above are of all nine, as the preset has them. What they leave open is the law of an
unknown: log-normal, with Student's t for scatter that is itself estimated. Robust deviation of
step times within a run, median of {RUNS} runs of as many steps as published; intervals are those
of {POINTS} points of the unknowns, each simulated {RUNS_OF_A_SYSTEM} times as a system ran:

{deviations}

**{within} of {len(found)} within a factor of {LIMIT:g}; {inside} of {len(found)} inside the 90%
interval**{f" (outside: {'; '.join(missed)} GPUs)" if missed else ""}. A power of the step's
seconds alone, fitted on the eight others, has {alone} within that factor. That white noise is the
same in seconds and that drift goes with the generation was chosen with all nine in view; the
numbers never were fitted on a predicted row. Site and generation cannot be told apart: three of the
five Blackwell systems are one site's.

Published and simulated parts, and the tail:

{parts}

The tail is known least: {tails} of {len(found)} 99th percentiles lie in their interval, which slow
steps make as wide as it is; of the greatest, {most.system.p99:+.0%}, the median prediction is
{most.shown.p99:+.1%}. Correlations follow single systems badly: their correlation times are
{min(times_s):,.0f} to {max(times_s):,.0f} s, and all are given one. Layouts were not published with
the logs; steps are given here by their seconds.

**GPT-3 hardly drifts.** On Eos in v3.1, lag 1 is {lags(large)} on 4,096 GPUs and more and
{lags(small)} on 512 and 768, in v4.1 {lags(newer)}; white noise is {white_ms(list(quiet()))}. Its
presets have no drift, and its noise stays that of the section above.

Source: MLPerf Training v5.0 and v5.1, closed, Llama-3.1-405B; v3.1 and v4.1, GPT-3.
{NOT_VERIFIED}."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, [":---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
