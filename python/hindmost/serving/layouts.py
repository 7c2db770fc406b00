"""Layouts of a replica that fit a domain."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.catalog import Transformer


def layouts(
    model: Transformer, domain_gpus: int, *, n_domains: int = 1
) -> Iterator[tuple[int, int, int]]:
    """Yield tensor ranks, groups of attention and expert ranks of all replicas that there can be.

    Parameters
    ----------
    model
        The model.
    domain_gpus
        GPUs of a domain.
    n_domains
        Whole domains that experts may be spread over, at most.

    Notes
    -----
    Tensor ranks divide the heads. Several groups of attention need experts, which all of them
    divide. Experts lie whole on as many ranks as divide them, which changes no time here.
    """
    for tensor in range(1, domain_gpus + 1):
        if model.n_heads % tensor:
            continue
        most = domain_gpus // tensor if model.experts is not None else 1
        for groups in range(1, most + 1):
            yield tensor, groups, expert_ranks(model, tensor * groups)
        if model.experts is not None and domain_gpus % tensor == 0:
            for several in range(2, n_domains + 1):
                n_gpus = several * domain_gpus
                yield tensor, n_gpus // tensor, expert_ranks(model, n_gpus)


def expert_ranks(model: Transformer, n_gpus: int) -> int:
    """Return the greatest number of ranks among some GPUs that divide the experts of a layer."""
    if model.experts is None:
        return 1
    return max(
        n for n in range(1, n_gpus + 1) if n_gpus % n == 0 and model.experts.n_experts % n == 0
    )
