"""Tokens of experts: how many copies of them go where, in how many bytes and seconds."""

from __future__ import annotations

import math

from hindmost.catalog import Experts
from hindmost.collective import Cost, all_to_all, relayed_all_to_all
from hindmost.physics.formats import value_bytes
from hindmost.physics.job import Job
from hindmost.physics.links import Links
from hindmost.spread import Spread


def pass_s(job: Job, links: Links, spread: Spread) -> float:
    """Return the seconds of one pass's exchange in one layer with experts.

    Tokens go to their experts in the format of the dispatch, and come back in BF16. On the way
    back the gradients of the results go out and those of the tokens return, in as many bytes.

    Parameters
    ----------
    job
        What a replica computes.
    links
        Links of a rank.
    spread
        Where the ranks sit that divide the experts of a layer.
    """
    model, workload = job.model, job.workload
    if model.experts is None or spread.ranks == 1:
        return 0.0
    formats = (workload.expert_dispatch_dtype, "bf16")
    sent = (job.rank_tokens * model.hidden * value_bytes(dtype) for dtype in formats)
    return sum(_one_way(job, links, spread, n_bytes).total_s for n_bytes in sent)


def domains_met(experts: Experts, n_domains: int) -> float:
    """Return the domains, of those that hold the experts of a layer, that a token goes to.

    Each domain holds as many experts. The mean of tokens whose experts are any of all with equal
    probability; with a limited router no more than the mean of tokens whose groups are any with
    equal probability and have as many of the token's experts each.

    Examples
    --------
    >>> from hindmost import catalog
    >>> limited = catalog.model("deepseek-v3").experts
    >>> unlimited = limited.model_copy(update={"node_limit": None})
    >>> [round(domains_met(unlimited, n), 3) for n in (4, 8)]
    [3.614, 5.295]
    >>> [round(domains_met(limited, n), 3) for n in (4, 8)]
    [3.143, 4.0]
    """
    of_experts = _places_met(experts.n_experts, n_domains, picked=experts.per_token)
    n_groups = experts.n_groups or n_domains
    if experts.node_limit is None or experts.node_limit >= n_groups:
        return of_experts
    if n_domains <= n_groups:
        met = _places_met(n_groups, n_domains, picked=experts.node_limit)
    else:
        # A group has several domains; its part of the token's experts are any of its own.
        met = experts.node_limit * _places_met(
            experts.n_experts / n_groups,
            n_domains / n_groups,
            picked=experts.per_token / experts.node_limit,
        )
    # As many as hold the token's experts, whatever the router's limit.
    fewest = math.ceil(experts.per_token * n_domains / experts.n_experts)
    return max(fewest, min(of_experts, met))


def _places_met(n_things: float, n_places: float, *, picked: float) -> float:
    """Return how many of some places have one of the things that are picked, on average.

    Each place has as many things, and those picked are any with equal probability:
    ``n (1 - C(E - E/n, k) / C(E, k))``, linear between whole numbers of things picked.
    """
    if picked != int(picked):
        below, above = (
            _places_met(n_things, n_places, picked=k) for k in (int(picked), int(picked) + 1)
        )
        return below + (picked - int(picked)) * (above - below)
    elsewhere = n_things * (1 - 1 / n_places)
    none_here = math.prod(
        max(0.0, elsewhere - before) / (n_things - before) for before in range(int(picked))
    )
    return n_places * (1 - none_here)


def _one_way(job: Job, links: Links, spread: Spread, n_bytes: float) -> Cost:
    """Return what it costs to send one copy of each of a rank's tokens to each of its experts.

    Parameters
    ----------
    job, links, spread
        As in `pass_s`.
    n_bytes
        Bytes of one copy of all tokens of a rank.
    """
    experts = job.model.experts
    assert experts is not None
    if job.workload.expert_copies == "expert":
        return all_to_all(
            experts.per_token * n_bytes,
            spread=spread,
            scale_up=links.scale_up,
            port=links.port,
            tiers=links.tiers,
        )
    return relayed_all_to_all(
        n_bytes,
        to_domains=domains_met(experts, spread.domains),
        to_ranks=experts.per_token,
        spread=spread,
        scale_up=links.scale_up,
        port=links.port,
        tiers=links.tiers,
    )
