"""An MFU that another tool printed, as this model counts it, and why both differ."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from hindmost import catalog
from hindmost.arguments import as_float, refuse
from hindmost.catalog import ALIASES, Convention, Dtype
from hindmost.compiled import scenario_of
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.physics.conventions import OWN_PARAMETERS, counted_flops_by_part, unknown_to
from hindmost.physics.flops import flops_by_part
from hindmost.plan import Plan, make_plan
from hindmost.scenario import Changes, Scenario
from hindmost.scenario.fields import field_problems
from hindmost.scenario.load import judged
from hindmost.scenario.models import Pool
from hindmost.units import GIGA, MEBI, TERA

PRINTED = (1e-6, 100.0)
"""MFU that can have been printed; with all experts counted it may be far above 1."""
TFLOPS = (1e-3, 1e6)
"""TFLOP/s of a GPU that can have been printed."""
TOKENS_PER_S = (1e-6, 1e9)
"""Tokens a second and GPU that can have been printed."""
NEGLIGIBLE = 1e-5
"""Share of the FLOPs below which a difference is not worth a sentence."""


@dataclass(frozen=True, kw_only=True)
class ConvertedMfu:
    """What a tool printed of a run, and what the run is here.

    Attributes
    ----------
    scenario : str
        Name of the scenario.
    tool, title, version : str
        Name of the tool in the catalogue, its full name, and the version whose code was read.
    printed : float or None
        MFU that it printed, or would have; 0 over an infinite peak, None where it prints none.
    causal, full : float
        MFU of the same run here, counting the causal half of attention scores or all of them.
    ratio, ratio_to_full : float or None
        What it printed over each of them.
    flops_per_token : float or None
        Model FLOPs of a token as the tool counts them.
    causal_flops_per_token, full_flops_per_token : float
        The same here.
    parts, causal_parts : dict of str to float
        FLOPs of a token by what they are spent on: the tool's, and those here with causal scores.
    peak_flop_per_s : float or None
        Peak of a GPU that the tool's MFU is over; None where it has none, or an infinite one.
    catalogue_peak_flop_per_s : float
        Mean dense peak of the GPUs in the job that MFU here is over.
    peak_dtype : str
        Number format of that peak.
    tokens_per_s_per_gpu, step_time_s : float
        Tokens of a second and GPU, and seconds of a step, that follow.
    why : tuple of str
        What differs, and by how much.
    """

    scenario: str
    tool: str
    title: str
    version: str
    printed: float | None
    causal: float
    full: float
    ratio: float | None
    ratio_to_full: float | None
    flops_per_token: float | None
    causal_flops_per_token: float
    full_flops_per_token: float
    parts: dict[str, float]
    causal_parts: dict[str, float]
    peak_flop_per_s: float | None
    catalogue_peak_flop_per_s: float
    peak_dtype: Dtype
    tokens_per_s_per_gpu: float
    step_time_s: float
    why: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """FLOPs of a token by part, as rows."""
        names = dict.fromkeys([*self.causal_parts, *self.parts])
        return [
            {
                "part": name,
                "tool_flops_per_token": self.parts.get(name, 0.0),
                "causal_flops_per_token": self.causal_parts.get(name, 0.0),
            }
            for name in names
        ]

    def document(self) -> dict[str, Any]:
        """Return the conversion as plain tables, as ``convention --format json`` prints it."""
        return {**asdict(self), "why": list(self.why)}


def convention(
    scenario: Scenario | str | Path,
    *,
    tool: str | Path,
    mfu: float | None = None,
    tflops_per_gpu: float | None = None,
    tokens_per_s_per_gpu: float | None = None,
    changes: Changes | None = None,
) -> ConvertedMfu:
    """Return the MFU of a run here, given what another tool printed of it.

    Parameters
    ----------
    scenario
        The job that was run, or a name or path that `load` takes. Nothing is simulated.
    tool
        Name of a tool of the catalogue, or path of a TOML file like those of its conventions.
    mfu
        MFU that it printed. Of a tool that prints FLOP/s alone: these over the catalogue's peak.
    tflops_per_gpu
        TFLOP/s of a GPU that it printed, by its own count of FLOPs.
    tokens_per_s_per_gpu
        Tokens of a second and GPU that it printed, which no convention touches.
    changes
        Key paths and their new values, laid over the scenario.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call: an unknown tool, a model that its formula
        does not know, more or less than one printed figure, or a figure from which nothing
        follows.

    Notes
    -----
    ``tokens/s = printed x peak of the tool / FLOPs a token of the tool``, and MFU here is
    ``tokens/s x FLOPs a token / peak``. In a job with several types of GPU a tool takes the peak
    of the one whose rank prints, which is taken to be in the first pool; the peak here is the mean
    over all GPUs in the job.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.convention("h100-1k", tool="torchtitan", mfu=0.38)
    >>> round(found.causal, 4), round(found.full, 4), round(found.ratio, 4)
    (0.3546, 0.38, 1.0717)
    """
    given = {
        "mfu": as_float(mfu),
        "tflops_per_gpu": as_float(tflops_per_gpu),
        "tokens_per_s_per_gpu": as_float(tokens_per_s_per_gpu),
    }
    try:
        found = _found(tool)
    except ScenarioError as error:
        refuse([*error.problems, *_printed_problems(given, None)])
        raise
    base = judged(scenario_of(scenario, changes))
    refuse([*_printed_problems(given, found), *_scenario_problems(base, found)])
    return _converted(base, make_plan(base), found, given)


def _found(tool: str | Path) -> Convention:
    """Return a convention of the catalogue, or that of a file."""
    text = str(tool)
    if text.endswith(".toml"):
        return _read(Path(text))
    wanted = text.lower().replace("_", "-").replace(" ", "-")
    conventions = [catalog.convention(name) for name in catalog.names("conventions")]
    names = {other: one for one in conventions for other in (one.name, *one.also)}
    if wanted not in names:
        hint = did_you_mean(wanted, names, or_list=False)
        listed = ", ".join(one.name for one in conventions)
        hint = hint or f"there is {listed}; a TOML file describes another tool"
        requirement = "must be a tool of the catalogue, or the path of a TOML file"
        raise ScenarioError([Problem(path="tool", requirement=requirement, value=text, hint=hint)])
    return names[wanted]


def _read(path: Path) -> Convention:
    try:
        with path.open("rb") as file:
            raw = file.read(MEBI + 1)
        if len(raw) > MEBI:
            raise ValueError("longer than 1 MiB")
        return Convention.model_validate(tomllib.loads(raw.decode("utf-8")))
    except ValidationError as error:
        problems = field_problems(error)
        raise ScenarioError(replace(one, source=str(path)) for one in problems) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        requirement = f"must be a TOML file that can be read: {reason}"
        raise ScenarioError(
            [Problem(path="tool", requirement=requirement, value=str(path))]
        ) from None


def _printed_problems(given: dict[str, Any], tool: Convention | None) -> Iterator[Problem]:
    """Yield the problems of what a tool printed."""
    there = [path for path, value in given.items() if value is not None]
    if len(there) != 1:
        requirement = f"must be given, or one of {', '.join(list(given)[1:])}, and one only"
        yield Problem(path="mfu", requirement=requirement, value=given["mfu"])
    bounds = dict(zip(given, (PRINTED, TFLOPS, TOKENS_PER_S), strict=True))
    for path in there:
        value, (least, most) = given[path], bounds[path]
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        may_be_zero = path == "mfu" and tool is not None and _has_infinite_peaks(tool)
        if not (is_number and (least <= value <= most or (may_be_zero and value == 0))):
            hint = "as a share: 38% is 0.38" if path == "mfu" else ""
            requirement = f"must be a number from {least:g} to {most:g}"
            yield Problem(path=path, requirement=requirement, value=value, hint=hint)
        elif tool is not None and tool.prints == "nothing" and path != "tokens_per_s_per_gpu":
            requirement = f"must be left out: {tool.title} prints neither MFU nor FLOP/s"
            hint = "give tokens_per_s_per_gpu"
            yield Problem(path=path, requirement=requirement, value=value, hint=hint)
        elif tool is not None and tool.clamped and path == "mfu" and value >= 1:
            requirement = f"must be < 1: {tool.title} cuts MFU there, so that nothing follows"
            yield Problem(path=path, requirement=requirement, value=value)


def _has_infinite_peaks(tool: Convention) -> bool:
    return tool.peaks is not None and tool.peaks.otherwise == "infinite"


def _scenario_problems(scenario: Scenario, tool: Convention) -> Iterator[Problem]:
    """Yield what a scenario has that the convention of a tool does not describe."""
    workload = scenario.workload
    for path, is_described in (
        ("workload.document_tokens", workload.document_tokens is None),
        ("workload.trainable", workload.trainable == "all"),
    ):
        if not is_described:
            requirement = "must be left out: conventions are described for whole sequences, and "
            requirement += "for training all parameters"
            yield Problem(path=path, requirement=requirement)
    if tool.counts is None:
        return
    for what in unknown_to(tool.counts, scenario.model, seq_len=workload.seq_len):
        requirement = f"must be a model without {what}: what {tool.title} counts for it is unknown"
        yield Problem(path="workload.model", requirement=requirement, value=workload.model)


def _converted(
    scenario: Scenario, plan: Plan, tool: Convention, given: dict[str, Any]
) -> ConvertedMfu:
    workload, model = scenario.workload, scenario.model
    here = {
        causal: flops_by_part(model, seq_len=workload.seq_len, causal=causal)
        for causal in (True, False)
    }
    causal_flops, full_flops = (sum(here[causal].values()) for causal in (True, False))
    parts = {}
    if tool.counts is not None:
        parts = counted_flops_by_part(
            tool.counts,
            model,
            seq_len=workload.seq_len,
            recompute=workload.recompute,
            name=_name_in_catalogue(scenario),
        )
    flops = sum(parts.values()) if parts else None
    peak, about_peak = _peak(scenario, tool)
    tokens_per_s = _tokens_per_s(tool, given, flops, peak, about_peak)
    printed = _printed(tool, given, flops, peak, tokens_per_s)
    own_peak = plan.peak_flop_per_s / plan.n_ranks
    causal, full = (tokens_per_s * each / own_peak for each in (causal_flops, full_flops))
    refuse(_impossible(scenario, plan, causal, given))
    why = [
        *(_about_flops(parts, here[True], causal_flops) if parts else []),
        *about_peak,
        *_about_pools(scenario, tool),
        *_about_what_was_printed(tool, given, peak),
        *_about_more_than_the_peak(scenario, plan, causal),
    ]
    return ConvertedMfu(
        scenario=scenario.name,
        tool=tool.name,
        title=tool.title,
        version=tool.version,
        printed=printed,
        causal=causal,
        full=full,
        ratio=None if printed is None else printed / causal,
        ratio_to_full=None if printed is None else printed / full,
        flops_per_token=flops,
        causal_flops_per_token=causal_flops,
        full_flops_per_token=full_flops,
        parts=parts,
        causal_parts=here[True],
        peak_flop_per_s=peak if isinstance(peak, float) else None,
        catalogue_peak_flop_per_s=own_peak,
        peak_dtype=workload.mfu_dtype,
        tokens_per_s_per_gpu=tokens_per_s,
        step_time_s=plan.tokens / (tokens_per_s * plan.n_ranks),
        why=tuple(why),
    )


def _name_in_catalogue(scenario: Scenario) -> str | None:
    """Return the catalogue's name of the model; None where it is one of the scenario's own."""
    name = scenario.workload.model
    return None if name in scenario.models else ALIASES.get(name, name)


NoPeak = Literal["none", "infinite"]
"""What there may be instead of a peak."""


def _peak(scenario: Scenario, tool: Convention) -> tuple[float | NoPeak, list[str]]:
    """Return the peak of a GPU that a tool's MFU is over, and what is to be said of it."""
    pool = next(iter(scenario.pools.values()))
    name = _catalogue_name(pool)
    own = pool.accelerator.peak_flop_per_s("bf16")
    assert own is not None
    dtype = scenario.workload.dtype
    found = "catalogue" if tool.peaks is None else tool.peaks.of(name, dtype)
    if found == "catalogue":
        return own, []
    if found == "none":
        what = f"{dtype.upper()} jobs" if dtype != "bf16" else name
        return "none", [f"{tool.title} has no peak of {what}, and prints no MFU of it."]
    if found == "infinite":
        return "infinite", [f"{tool.title} takes an infinite peak of {name}, so that its MFU is 0."]
    value, reason = (
        (found.flop_per_s, found.why) if isinstance(found, catalog.Peak) else (found, "")
    )
    assert isinstance(value, float)
    if value == own:
        return value, []
    if not reason and tool.peaks is not None and name not in {**tool.peaks.bf16, **tool.peaks.fp8}:
        reason = "as of any GPU that it does not tell apart"
    because = f", {reason}" if reason else ""
    said = (
        f"Its peak of {name} is {value / TERA:,.6g} TFLOP/s{because}; the dense BF16 peak is "
        f"{own / TERA:,.6g}: {own / value - 1:+.2%} of MFU."
    )
    return value, [said]


def _catalogue_name(pool: Pool) -> str:
    """Return the GPU of the catalogue that a pool's is, or lies over."""
    return getattr(pool.accelerator, "extends", None) or pool.gpu


def _tokens_per_s(
    tool: Convention,
    given: dict[str, Any],
    flops: float | None,
    peak: float | NoPeak,
    about_peak: list[str],
) -> float:
    """Return the tokens of a second and GPU that follow from what was printed."""
    if given["tokens_per_s_per_gpu"] is not None:
        return float(given["tokens_per_s_per_gpu"])
    assert flops is not None
    if given["tflops_per_gpu"] is not None:
        return float(given["tflops_per_gpu"]) * TERA / flops
    if isinstance(peak, str):
        (reason,) = about_peak
        requirement = f"must be left out, as nothing follows from it: {reason.rstrip('.')}"
        hint = "give tokens_per_s_per_gpu or tflops_per_gpu"
        refuse([Problem(path="mfu", requirement=requirement, value=given["mfu"], hint=hint)])
    elif given["mfu"] == 0:
        least, most = PRINTED
        requirement = f"must be a number from {least:g} to {most:g}"
        refuse([Problem(path="mfu", requirement=requirement, value=given["mfu"])])
    assert isinstance(peak, float)
    return float(given["mfu"]) * peak / flops


def _printed(
    tool: Convention,
    given: dict[str, Any],
    flops: float | None,
    peak: float | NoPeak,
    tokens_per_s: float,
) -> float | None:
    """Return the MFU that the tool printed, or would have."""
    if given["mfu"] is not None:
        return float(given["mfu"])
    if flops is None or peak == "none":
        return None
    if isinstance(peak, str):
        return 0.0
    mfu = tokens_per_s * flops / peak
    return min(mfu, 1.0) if tool.clamped else mfu


def _about_flops(parts: dict[str, float], here: dict[str, float], causal_flops: float) -> list[str]:
    """Return what a tool counts otherwise than the model FLOPs with causal scores."""
    if OWN_PARAMETERS in parts:
        number = parts[OWN_PARAMETERS] / 6
        change = sum(parts.values()) / causal_flops - 1
        return [f"It takes {number:.4g} parameters by its own figure, 6 FLOPs each: {change:+.1%}."]
    said = []
    for part in dict.fromkeys([*here, *parts]):
        theirs, ours = parts.get(part, 0.0), here.get(part, 0.0)
        change = (theirs - ours) / causal_flops
        if abs(change) < NEGLIGIBLE:
            continue
        how = f"{theirs / GIGA:.4g} GFLOP a token instead of {ours / GIGA:.4g}"
        if not theirs:
            how = "not counted"
        elif not ours:
            how = f"{theirs / GIGA:.4g} GFLOP a token, which are not counted here"
        said.append(f"{part.capitalize()}: {how}: {_signed(change)}.")
    return said or ["It counts FLOPs as they are counted here, with causal scores."]


def _signed(change: float) -> str:
    return f"{change:+.1%}" if abs(change) >= 1e-3 else f"{change:+.3%}"


def _about_pools(scenario: Scenario, tool: Convention) -> Iterator[str]:
    """Yield that a tool knows one type of GPU, where a job has several."""
    names = list(dict.fromkeys(pool.gpu for pool in scenario.pools.values()))
    if len(names) > 1 and tool.prints != "nothing":
        yield (
            f"The job has {', '.join(names)}. {tool.title} takes the peak of the GPU whose rank "
            f"prints for all of them, {names[0]} here; MFU here is over the mean of all peaks."
        )


def _about_what_was_printed(
    tool: Convention, given: dict[str, Any], peak: float | NoPeak
) -> Iterator[str]:
    if tool.prints == "tflops" and given["mfu"] is not None:
        yield (
            f"{tool.title} prints FLOP/s. Its MFU is taken as these over "
            f"{float(peak) / TERA:,.6g} TFLOP/s a GPU."
        )
    if tool.prints == "nothing":
        yield f"{tool.title} prints neither MFU nor FLOP/s: tokens alone count."
    if tool.note is not None:
        yield tool.note


def _impossible(
    scenario: Scenario, plan: Plan, causal: float, given: dict[str, Any]
) -> list[Problem]:
    """Return the problem of a run above the peak of every number format."""
    most = max(_peaks(scenario, plan).values()) / plan.peak_flop_per_s
    if causal <= most:
        return []
    dtype = scenario.workload.mfu_dtype.upper()
    requirement = (
        f"must be possible: it comes to {causal:.4g} of the dense {dtype} peak, and the fastest "
        f"number format of these GPUs to {most:.4g}"
    )
    ((path, value),) = ((path, value) for path, value in given.items() if value is not None)
    hint = "as a share: 38% is 0.38" if path == "mfu" else ""
    return [Problem(path=path, requirement=requirement, value=value, hint=hint)]


def _about_more_than_the_peak(scenario: Scenario, plan: Plan, causal: float) -> Iterator[str]:
    """Yield the number format that would explain an MFU above 1."""
    if causal <= 1:
        return
    flop_per_s = causal * plan.peak_flop_per_s
    peaks = _peaks(scenario, plan)
    dtype, peak = next((dtype, peak) for dtype, peak in peaks.items() if flop_per_s <= peak)
    does = "as the scenario has" if scenario.workload.dtype == dtype else "not of the scenario"
    yield (
        f"{causal:.4g} of the dense {scenario.workload.mfu_dtype.upper()} peak cannot be: products "
        f"in {dtype.upper()}, {does}, would explain it, at {flop_per_s / peak:.3f} of their peak."
    )


def _peaks(scenario: Scenario, plan: Plan) -> dict[Dtype, float]:
    """Return the dense peak of all ranks together in each number format that all GPUs have."""
    accelerators = [pool.accelerator for pool in scenario.pools.values()]
    found: dict[Dtype, float] = {}
    for dtype in get_args(Dtype):
        peaks = [one.peak_flop_per_s(dtype) for one in accelerators]
        if None not in peaks:
            by_pool = zip(plan.ranks, peaks, strict=True)
            found[dtype] = sum(n * peak for n, peak in by_pool if peak is not None)
    return found
