"""Renders docs/conventions.md; `python -m tests.docs.conventions` writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Convention, Counts, Peak
from hindmost.physics.conventions import counted_flops_by_part, unknown_to
from hindmost.physics.flops import model_flops_per_token
from hindmost.units import TERA
from tests.docs.markdown import ROOT
from tests.docs.rendered import filled, table_of

PAGE = ROOT / "docs" / "conventions.md"

MODELS = {
    "Llama 3 8B": ("llama3-8b", 8192),
    "Llama 3 70B": ("llama3-70b", 8192),
    "Mixtral 8x7B": ("mixtral-8x7b", 4096),
    "DeepSeek-V3": ("deepseek-v3", 4096),
}
"""Models of the table, with the tokens of a sequence."""
JOB = "h100-1k"
JOB_CHANGES = {"workload.model": "llama3-8b", "workload.seq_len": 8192}
NONE = ""


def render() -> str:
    """Return the page."""
    return "\n\n".join([head(), use(), counted(), peaks(), limits()]) + "\n"


def conventions() -> list[Convention]:
    """Return all conventions, in alphabetical order."""
    return [catalog.convention(name) for name in catalog.names("conventions")]


def flops_ratio(found: Convention, name: str, seq_len: int) -> float | None:
    """Return the FLOPs of a token that a tool counts over those here with causal scores."""
    model = catalog.model(name)
    if found.counts is None or unknown_to(found.counts, model, seq_len=seq_len):
        return None
    parts = counted_flops_by_part(found.counts, model, seq_len=seq_len, name=name)
    return sum(parts.values()) / model_flops_per_token(model, seq_len=seq_len, causal=True)


def head() -> str:
    """Return the claim, and the answer in short."""
    name, seq_len = MODELS["Llama 3 8B"]
    found = {one.name: flops_ratio(one, name, seq_len) for one in conventions()}
    ratios = sorted(ratio for ratio in found.values() if ratio is not None)
    one, other = (
        hm.convention(JOB, tool=tool, mfu=mfu, changes=JOB_CHANGES)
        for tool, mfu in (("torchtitan", 0.45), ("megatron-lm", 0.42))
    )
    return filled(f"""# Conventions of other tools

Tools print an MFU each, and mean different things by it: they count other FLOPs of a token, and
divide by other peaks. For one run of Llama 3 8B with {seq_len:,} tokens a sequence, what they
count is {ratios[0]:.2f} to {ratios[-1]:.2f} times the model FLOPs of causal attention. So 45% in
torchtitan is {one.causal:.1%} with causal scores, and 42% in Megatron-LM is {other.causal:.1%}:
the lower figure is the better run.

`hindmost convention` converts one, and says why. `make references` renders this page from the
catalogue, and a test holds it against each tool's own code.""")


def use() -> str:
    """Return how to ask."""
    return "\n\n".join(
        [
            "## Convert a figure",
            """```sh
hindmost convention my-cluster.toml --tool torchtitan --mfu 0.38
hindmost convention my-cluster.toml --tool megatron-lm --tflops-per-gpu 420
hindmost convention my-cluster.toml --tool torchtune --tokens-per-s-per-gpu 6500
hindmost explain my-cluster.toml --mfu 0.45 --mfu-of lightning --tolerance 0.01
hindmost catalog conventions torchtitan         # the convention, and where it was read
```""",
            filled("""The scenario says the model, the tokens of a sequence and the GPUs of the job
that was run; nothing is simulated. Tokens/s of a GPU are what a tool measures, and what both
figures have in common: `tokens/s = printed x peak / FLOPs a token`, with the tool's peak and
FLOPs. MFU here is `tokens/s x FLOPs a token / peak` with those of [the model](model.md), with
causal scores and with all. `ratio` is what the tool prints over the former.

- A tool that prints FLOP/s alone has no peak of its own. `--mfu` is then taken as these over the
catalogue's dense BF16 peak, and `--tflops-per-gpu` is what it prints.
- In a job with several types of GPU a tool takes the peak of the one whose rank prints, for all of
them; that is taken to be one of the first pool. MFU here is over the mean of all peaks.
- An MFU above 1 is said to be possible in FP8 or FP4, if their peak allows it, and is refused
otherwise.
- A tool that is not below is described by a TOML file like those of the catalogue, `--tool
./mine.toml`: see [adding](adding.md#a-convention-of-another-tool)."""),
        ]
    )


def counted() -> str:
    """Return what each tool counts, and how much that is for some models."""
    rows = []
    for found in conventions():
        if found.counts is None:
            continue
        ratios = (flops_ratio(found, *model) for model in MODELS.values())
        rows.append(
            (
                f"`{found.name}`",
                found.version,
                found.prints.replace("tflops", "FLOP/s").replace("mfu", "MFU"),
                "; ".join(_words(found.counts)),
                *(NONE if ratio is None else f"{ratio:.4f}" for ratio in ratios),
            )
        )
    table = table_of(["tool", "version", "prints", "counts", *MODELS], rows, left=(0, 1, 2, 3))
    silent = [found.title for found in conventions() if found.counts is None]
    text = filled("""## What they count

FLOPs of a token over the model FLOPs with causal scores, with 8,192 tokens a sequence for Llama and
4,096 for the others. Where nothing is said, a tool counts as it is done here: 6 for each
parameter that multiplies, of experts only those picked, with the output layer and the router, and
neither norms nor the input embedding. There is no ratio where a tool's formula does not know the
model.""")
    return f"{text}\n\n{table}\n\n" + filled(
        f"{_listed(silent)} print neither MFU nor FLOP/s: tokens/s are all there is to convert."
    )


def peaks() -> str:
    """Return the peaks that are not those of the catalogue."""
    rows = [row for found in conventions() for row in _peaks(found)]
    text = filled("""## What they divide by

Dense BF16 peaks in TFLOP/s, where they are not within 0.1% of the catalogue's. Without one a tool
prints no MFU, and over an infinite one it prints 0.""")
    table = table_of(["tool", "GPUs", "TFLOP/s", "catalogue", ""], rows, left=(0, 1, 4))
    return f"{text}\n\n{table}"


def limits() -> str:
    """Return what is not described."""
    return filled("""## What is left out

- Sparse and linear attention, state spaces, encoders, packed documents and adapters: such jobs are
refused. So are windows that are shorter than a sequence, where a tool's way with them was not
read.
- Tools that measure (`lightning`, `deepspeed`) count what runs, which depends on the model's
code. The rows are of attention in PyTorch's fused kernel for the former, and written out for the
latter, whose activation functions come on top.
- A figure holds for the version in the table. Conventions move: NeMo 2.7 prints FLOP/s, and
NeMo 3.0 nothing.""")


def _words(counts: Counts) -> Iterator[str]:
    """Yield what a tool counts otherwise than it is done here."""
    if counts.parameters:
        yield "its own figures of parameters"
    said = {
        ("attention", "full"): "all scores",
        ("attention", "none"): "no scores",
        ("scores_again", True): "their recomputation in the backward pass",
        ("heads", "hidden"): "heads as wide as the residual stream",
        ("heads", "hidden-each"): "heads as wide as the residual stream, keys and values of each",
        ("feed_forward", "four-wide"): "two feed-forward matrices four times as wide",
        (
            "feed_forward",
            "half-experts",
        ): "two feed-forward matrices, experts in half of the layers",
        ("experts", "all"): "all experts",
        ("router", "none"): "no router",
        ("router", "all-layers"): "a router in each layer",
        ("norms", "latent"): "norms of latent attention",
        ("norms", "all"): "norms",
        ("embedding", "product"): "input embedding as a product",
        ("embedding", "parameters"): "input embedding",
        ("embedding", "output-if-own"): "no tied output layer",
        ("recomputation", True): "full recomputation, where there is any",
    }
    for (field, value), words in said.items():
        if getattr(counts, field) == value:
            yield words
    if counts.flops_per_score:
        yield f"{counts.flops_per_score:g} FLOPs a score of mask or softmax"
    if counts.output_layer != 1:
        yield f"{counts.output_layer:g} of the output layer"


def _peaks(found: Convention) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the rows of a tool's peaks that are not the catalogue's, equal ones together."""
    if found.peaks is None or found.peaks.otherwise == "catalogue":
        return
    others = []
    for name in catalog.names("gpus"):
        own = catalog.gpu(name).peak_bf16_flop_per_s
        if name not in found.peaks.bf16:
            if found.peaks.otherwise != own:
                others.append(name)
            continue
        peak = found.peaks.bf16[name]
        value, why = (peak.flop_per_s, peak.why) if isinstance(peak, Peak) else (peak, "")
        if abs(value / own - 1) > 1e-3:
            yield f"`{found.name}`", name, f"{value / TERA:,.6g}", f"{own / TERA:,.6g}", why
    otherwise = found.peaks.otherwise
    shown = otherwise if isinstance(otherwise, str) else f"{otherwise / TERA:,.6g}"
    if others:
        names = ", ".join(others) if found.peaks.bf16 else "all"
        yield f"`{found.name}`", names, shown, NONE, NONE


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
