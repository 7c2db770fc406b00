"""Binary trees, as lists: the parent of each node, parents before children."""

from __future__ import annotations


def over_leaves(n: int) -> list[int]:
    """Return a balanced binary tree with `n` leaves, of depth ``ceil(log2 n)``.

    A heap of 2 n - 1 nodes. The root is node 0, whose parent is itself.
    """
    return [0, *((node - 1) // 2 for node in range(1, 2 * n - 1))]


def over_ranks(n: int) -> list[int]:
    """Return a binary tree in which `n` ranks are inner nodes and leaves.

    The root has one child; the others are ordered as in a search tree. Both trees of a
    double binary tree have this shape, and depth ``ceil(log2 n)``: the i-th node in order
    of the first tree is the (n - 1 - i)-th or (i + 1)-th of the second. The shape is that of
    NCCL's ``ncclGetBtree``.
    """
    parents = [0]
    # Children are appended after their parents: (index of the parent, range of nodes below).
    waiting = [(0, 1, n)]
    while waiting:
        parent, low, high = waiting.pop(0)
        if low >= high:
            continue
        middle = low + 2 ** ((high - low).bit_length() - 1) - 1
        node = len(parents)
        parents.append(parent)
        waiting += [(node, low, middle), (node, middle + 1, high)]
    return parents
