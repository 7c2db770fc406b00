"""Which kernels of a GPU communicate, by their names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Communication = Literal["name", "stream"]
"""How kernels that communicate are told from those that compute."""
MOST_NAMES = 1 << 16
"""Names of kernels whose answers are kept; a model has thousands."""
_LIBRARIES = (
    "nccl",  # and RCCL, whose kernels keep the name
    "rccl",
    "msccl",
    "nvshmem",
    "rocshmem",
    "hccl",
    "oneccl",
    "userbuffers",  # of Transformer Engine
    "deep_ep",
    "dpsk::ep",  # DeepEP in the traces that DeepSeek published
    "cross_device_reduce",  # custom all-reduce of vLLM and SGLang
)
_COLLECTIVES = (
    # Sums over one warp or block of threads are called so, too.
    r"(?<!warp)(?<!block)(?<!warp_)(?<!block_)all_?reduce",
    "all_?gather",
    "reduce_?scatter",
    "all_?to_?all",
    "all2all",
    "multimem",  # of PyTorch's symmetric memory
)
_KNOWN = re.compile("|".join((*_LIBRARIES, *_COLLECTIVES)), re.IGNORECASE)
_BETWEEN_GPUS = re.compile(r"memcpy.*(?:ptop|p2p|peer)", re.IGNORECASE)
_ALL_WAIT_FOR_ALL = re.compile("allreduce|allgather|reducescatter|alltoall|all2all|barrier")
_LEAVE_TOGETHER = re.compile("allreduce|allgather|reducescatter|barrier")


@lru_cache(MOST_NAMES)
def is_communication(name: str) -> bool:
    """Return whether a kernel, or a copy, is known as communication by its name.

    Examples
    --------
    >>> is_communication("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096>)")
    True
    >>> is_communication("ampere_bf16_s16816gemm"), is_communication("Memcpy HtoD (Pageable)")
    (False, False)
    """
    return bool(_KNOWN.search(name) or _BETWEEN_GPUS.search(name))


@lru_cache(MOST_NAMES)
def all_wait_for_all(name: str) -> bool:
    """Return whether no rank can leave a collective before all have come to it.

    The root of a broadcast can, and so can all ranks but the root of a reduction.

    Examples
    --------
    >>> all_wait_for_all("_allgather_base"), all_wait_for_all("broadcast")
    (True, False)
    """
    return bool(_ALL_WAIT_FOR_ALL.search(_plain(name)))


@lru_cache(MOST_NAMES)
def leave_together(name: str) -> bool:
    """Return whether all ranks leave a collective at about one time.

    From an all-to-all, ranks leave when they have their own part of the data.

    Examples
    --------
    >>> leave_together("ncclDevKernel_ReduceScatter_Sum_bf16"), leave_together("all_to_allv")
    (True, False)
    """
    return bool(_LEAVE_TOGETHER.search(_plain(name)))


def _plain(name: str) -> str:
    return name.lower().replace("_", "")
