"""What a model is: its parameters, the FLOPs of a token by part, and the memory of a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from hindmost import catalog
from hindmost.arguments import as_int, bounds, refuse
from hindmost.catalog import Transformer
from hindmost.errors import Problem, ScenarioError, did_you_mean
from hindmost.physics.activations import RECOMPUTATIONS
from hindmost.physics.flops import (
    active_parameters,
    flops_by_part,
    model_flops_per_token,
    output_parameters,
    parameters,
)
from hindmost.physics.job import Job
from hindmost.physics.memory import Memory, memory
from hindmost.scenario.fields import field_problems
from hindmost.scenario.models import Layout, Workload
from hindmost.scenario.released_model import is_released, read_released

Mask = Literal["causal", "full"]

MOST = 2**31 - 1
"""Tokens, sequences, GPUs and ranks, at most."""

MASKS: tuple[Mask, ...] = get_args(Mask)
SHARDINGS = ("none", "zero1", "zero2", "zero3")


@dataclass(frozen=True, kw_only=True)
class ModelSummary:
    """What a model is.

    Attributes
    ----------
    name : str
        What it was asked for by.
    model : Transformer
        Its dimensions.
    seq_len : int
        Tokens of a sequence.
    attention : str
        Attention scores that count: causal or full.
    parameters : int
        All parameters.
    active_parameters : int
        Those that process one token: of routed experts only those picked.
    flops_per_token : float
        Model FLOPs, forward and backward, as MFU counts them.
    parts : dict of str to float
        The same by what they are spent on.
    left_out : tuple of str
        What a released file has and this does not count.
    layout : dict
        GPUs and how they divide the model.
    memory : Memory
        Memory that the fullest of these GPUs needs, as `simulate` judges it.
    """

    name: str
    model: Transformer
    seq_len: int
    attention: Mask
    parameters: int
    active_parameters: int
    flops_per_token: float
    parts: dict[str, float]
    left_out: tuple[str, ...]
    layout: dict[str, Any]
    memory: Memory

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the input embedding, which are looked up and do not multiply."""
        return output_parameters(self.model)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`parts` as rows."""
        return [{"part": part, "flops_per_token": flops} for part, flops in self.parts.items()]

    def document(self) -> dict[str, Any]:
        """Return the summary as plain tables, as ``model --format json`` prints it."""
        return {
            "name": self.name,
            "parameters": self.parameters,
            "active_parameters": self.active_parameters,
            "embedding_parameters": self.embedding_parameters,
            "flops_per_token": self.flops_per_token,
            "flops_per_token_without_routers": self.flops_per_token - self.parts.get("router", 0.0),
            "seq_len": self.seq_len,
            "attention": self.attention,
            "parts": self.parts,
            "left_out": list(self.left_out),
            "layout": self.layout,
            "memory": {**asdict(self.memory), "total_bytes": self.memory.total_bytes},
        }


def model_summary(
    name: str | Path,
    *,
    seq_len: int = 4096,
    attention: Mask = "causal",
    gpus: int = 8,
    tensor: int = 1,
    pipeline: int = 1,
    context: int = 1,
    expert: int = 1,
    sharding: str = "zero3",
    microbatch_seqs: int = 1,
    recompute: str = "none",
) -> ModelSummary:
    """Return what a model is.

    Parameters
    ----------
    name
        A model of the catalogue, or the path of a released ``config.json``.
    seq_len
        Tokens of a sequence, >= 1.
    attention
        Scores that count: the causal half, or all of them.
    gpus, tensor, pipeline, context, expert, sharding
        GPUs whose memory is told, and how they divide the model, as in ``[layout]``.
    microbatch_seqs, recompute
        Sequences of a microbatch, and what is computed again, as in ``[workload]``.

    Raises
    ------
    ScenarioError
        With every problem of the call, or of the file.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.model_summary("gpt-oss-120b")
    >>> round(found.parameters / 1e9, 1), round(found.flops_per_token / 1e9, 2)
    (116.8, 32.71)
    """
    model, left_out = _found(name)
    seq_len, gpus, tensor, pipeline, context, expert, microbatch_seqs = (
        as_int(each) for each in (seq_len, gpus, tensor, pipeline, context, expert, microbatch_seqs)
    )
    refuse(
        list(
            _call_problems(
                model,
                counts={
                    "seq_len": seq_len,
                    "gpus": gpus,
                    "tensor": tensor,
                    "pipeline": pipeline,
                    "context": context,
                    "expert": expert,
                    "microbatch_seqs": microbatch_seqs,
                },
                choices={
                    "attention": (attention, MASKS),
                    "sharding": (sharding, SHARDINGS),
                    "recompute": (recompute, RECOMPUTATIONS),
                },
            )
        )
    )
    causal = attention == "causal"
    layout = {
        "gpus": gpus,
        "tensor": tensor,
        "pipeline": pipeline,
        "context": context,
        "expert": expert,
        "sharding": sharding,
        "microbatch_seqs": microbatch_seqs,
        "recompute": recompute,
    }
    return ModelSummary(
        name=str(name),
        model=model,
        seq_len=seq_len,
        attention=attention,
        parameters=parameters(model),
        active_parameters=active_parameters(model),
        flops_per_token=model_flops_per_token(model, seq_len=seq_len, causal=causal),
        parts=flops_by_part(model, seq_len=seq_len, causal=causal),
        left_out=left_out,
        layout=layout,
        memory=_memory(model, seq_len, layout),
    )


def _found(name: str | Path) -> tuple[Transformer, tuple[str, ...]]:
    text = str(name)
    if is_released(text):
        found = read_released(text)
        try:
            return Transformer.model_validate(found.table), found.left_out
        except ValidationError as error:
            problems = field_problems(error)
        raise ScenarioError(replace(problem, source=text) for problem in problems)
    try:
        return catalog.model(text), ()
    except KeyError:
        hint = did_you_mean(text, [*catalog.names("models"), *catalog.ALIASES])
        requirement = "must be a model of the catalogue, or the path of a config.json"
        refuse([Problem(path="model", requirement=requirement, value=text, hint=hint)])
        raise


def _call_problems(
    model: Transformer, *, counts: dict[str, int], choices: dict[str, tuple[str, tuple[str, ...]]]
) -> Iterator[Problem]:
    for path, (value, known) in choices.items():
        if value not in known:
            requirement = f"must be one of {', '.join(known)}"
            yield Problem(path=path, requirement=requirement, value=value)
    wrong = [problem for path, value in counts.items() for problem in bounds(path, value, 1, MOST)]
    yield from wrong
    if wrong:
        return
    for n_heads in model.divided_heads:
        if n_heads % counts["tensor"]:
            requirement = f"must divide the {n_heads} heads of the model"
            yield Problem(path="tensor", requirement=requirement, value=counts["tensor"])
    replica = counts["tensor"] * counts["pipeline"] * counts["context"]
    if counts["gpus"] % replica:
        requirement = f"must be a multiple of {replica} (tensor x pipeline x context)"
        yield Problem(path="gpus", requirement=requirement, value=counts["gpus"])
    elif (counts["gpus"] // counts["pipeline"]) % counts["expert"]:
        requirement = f"must divide the {counts['gpus'] // counts['pipeline']} GPUs of a stage"
        yield Problem(path="expert", requirement=requirement, value=counts["expert"])
    n_experts = 1 if model.experts is None else model.experts.n_experts
    if n_experts % counts["expert"]:
        requirement = f"must divide the {n_experts} experts of a layer"
        if model.experts is None:
            requirement = "must be 1: the model has no experts"
        yield Problem(path="expert", requirement=requirement, value=counts["expert"])
    if counts["pipeline"] > model.depth + 2:
        requirement = f"must be <= {model.depth + 2}, the layers and both embeddings"
        yield Problem(path="pipeline", requirement=requirement, value=counts["pipeline"])


def _memory(model: Transformer, seq_len: int, layout: dict[str, Any]) -> Memory:
    pipeline, context = layout["pipeline"], layout["context"]
    # What a job's memory depends on, without what only a whole scenario has.
    workload = Workload.model_construct(
        model="",
        seq_len=seq_len,
        microbatch_seqs=layout["microbatch_seqs"],
        recompute=layout["recompute"],
    )
    divided = Layout.model_construct(
        tensor=layout["tensor"],
        pipeline=pipeline,
        context=context,
        expert=layout["expert"],
        sharding=layout["sharding"],
    )
    job = Job(model=model, workload=workload, layout=divided, n_microbatches=4 * pipeline)
    state_ranks = layout["gpus"] // (layout["tensor"] * pipeline)
    return memory(job, state_ranks=state_ranks)
