"""What a report of a model says."""

from __future__ import annotations

from hindmost.analyses.model_summary import ModelSummary
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count
from hindmost.units import GIGA, gigabytes


def model_content(found: ModelSummary) -> Content:
    """Return the content of a model's report: parameters, FLOPs by part, memory."""
    parameters = Table(
        ("parameters", ""),
        (
            ("all", _billions(found.parameters)),
            ("that process one token", _billions(found.active_parameters)),
            ("of these, input embedding", _billions(found.embedding_parameters)),
        ),
    )
    flops = Table(
        ("model FLOPs of a token", "GFLOP", "share"),
        (
            *(
                (part, f"{value / GIGA:.3f}", f"{value / found.flops_per_token:.1%}")
                for part, value in found.parts.items()
            ),
            ("sum", f"{found.flops_per_token / GIGA:.3f}", "100.0%"),
        ),
    )
    memory = Table(
        ("memory of a GPU", ""),
        (
            ("weights, gradients, optimizer", gigabytes(found.memory.states_bytes)),
            ("activations", gigabytes(found.memory.activations_bytes)),
            ("logits", gigabytes(found.memory.logits_bytes)),
            ("or a layer computed again", gigabytes(found.memory.recomputed_bytes)),
            ("sum", gigabytes(found.memory.total_bytes)),
        ),
    )
    layout = found.layout
    divided = ", ".join(
        f"{key} {layout[key]}" for key in ("tensor", "pipeline", "context", "expert")
    )
    return Content(
        headline=f"{found.name}: {count(found.model.depth)} layers of width {found.model.hidden:,}",
        tables=(parameters, flops, memory),
        notes=(
            f"Forward and backward, {found.attention} attention over {count(found.seq_len)} "
            "tokens, as MFU counts them; nothing that is computed again.",
            f"Memory of {count(layout['gpus'])} GPUs, {divided}, sharding {layout['sharding']}, "
            f"{count(layout['microbatch_seqs'])} x {count(found.seq_len)} tokens a microbatch, "
            f"recompute {layout['recompute']}; without gathered weights and fragmentation.",
        ),
        listings=(Listing("Left out", found.left_out),) if found.left_out else (),
    )


def _billions(number: int) -> str:
    return f"{number / GIGA:.3f}e9"
