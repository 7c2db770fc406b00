"""Numberings of the ranks of a job: which index a rank has in each dimension of its layout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]

DIMENSIONS = ("tp", "cp", "ep", "dp", "pp")
"""Names of an order, by Megatron: tensor, context, expert, data and pipeline ranks."""


@dataclass(frozen=True, kw_only=True)
class Numbering:
    """A numbering of ranks in several dimensions, the innermost first.

    ``rank = sum of index x product of the sizes before it``, as Megatron-LM numbers ranks
    (RankGenerator in megatron/core/parallel_state.py).

    Attributes
    ----------
    names : tuple of str
        Names of the dimensions, of `DIMENSIONS`.
    sizes : tuple of int
        How many indices each has, >= 1.

    Examples
    --------
    >>> numbering = Numbering(names=("tp", "dp", "pp"), sizes=(2, 2, 4))
    >>> numbering.group(5, "dp").tolist()
    [5, 7]
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def n_ranks(self) -> int:
        """All ranks."""
        return math.prod(self.sizes)

    def size(self, name: str) -> int:
        """Return how many indices a dimension has; 1 if there is no such dimension."""
        return self.sizes[self.names.index(name)] if name in self.names else 1

    def stride(self, name: str) -> int:
        """Return the distance of ranks whose indices in a dimension follow each other.

        0 if there is no such dimension.
        """
        return math.prod(self.sizes[: self.names.index(name)]) if name in self.names else 0

    def index(self, ranks: Ranks, name: str) -> Ranks:
        """Return the index of some ranks in a dimension."""
        return ranks // max(1, self.stride(name)) % self.size(name)

    def group(self, rank: int, *names: str) -> Ranks:
        """Return the ranks that differ from one in some dimensions only, in ascending order."""
        found = np.array([rank], dtype=np.int64)
        for name in names:
            places = np.arange(self.size(name)) - self.index(np.array([rank]), name)
            found = (found[:, np.newaxis] + places * self.stride(name)).ravel()
        found.sort()
        return found


@dataclass(frozen=True, kw_only=True)
class Numberings:
    """The two numberings of the same ranks.

    Attributes
    ----------
    dense : Numbering
        By tensor, context, data and pipeline ranks.
    experts : Numbering
        By expert tensor (tp), expert (ep), expert data (dp) and pipeline ranks; the same as the
        other one where nothing divides experts but the tensor ranks. The ranks that have the same
        experts differ in cp and dp, of which this numbering may have only the latter.
    """

    dense: Numbering
    experts: Numbering

    @property
    def agree(self) -> bool:
        """Whether both have the same pipeline groups.

        The stages of all ranks are the same if and only if those of a dimension's stride are.
        """
        return self.dense.stride("pp") == self.experts.stride("pp")


def numberings(
    order: str,
    *,
    tensor: int,
    context: int,
    pipeline: int,
    data: int,
    expert: int = 1,
    expert_tensor: int | None = None,
) -> Numberings:
    """Return the numberings of ranks in an order.

    Parameters
    ----------
    order
        Names of `DIMENSIONS`, innermost first, joined by ``-``.
    tensor, context, pipeline, data
        Ranks of each dimension; data ranks are replicas here.
    expert
        Ranks that divide the experts of a layer.
    expert_tensor
        Ranks that divide each expert; `tensor` by default.

    Notes
    -----
    ``expert_tensor x expert x expert data = tensor x context x data``: what is left over of the
    latter makes no expert data rank, and counts of ranks must be such that nothing is.
    """
    names = tuple(order.split("-"))
    parts = tensor if expert_tensor is None else expert_tensor
    sizes = {"tp": tensor, "cp": context, "dp": data, "pp": pipeline}
    of_experts = {
        "tp": parts,
        "ep": expert,
        "dp": tensor * context * data // (parts * expert),
        "pp": pipeline,
    }
    dense = Numbering(names=names, sizes=tuple(sizes.get(name, 1) for name in names))
    if expert == 1 and parts == tensor:
        return Numberings(dense=dense, experts=dense)
    experts = Numbering(names=names, sizes=tuple(of_experts.get(name, 1) for name in names))
    return Numberings(dense=dense, experts=experts)
