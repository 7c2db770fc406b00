"""Binary trees, as lists: the parent of each node, parents before children."""

from __future__ import annotations


def over_leaves(n: int) -> list[int]:
    """Return a balanced binary tree with `n` leaves, of depth ``ceil(log2 n)``.

    The heap of 2 n - 1 nodes. The root is node 0 and names itself.
    """
    return [0, *((node - 1) // 2 for node in range(1, 2 * n - 1))]


def over_ranks(n: int) -> list[int]:
    """Return a binary tree in which `n` ranks are inner nodes and leaves.

    The root has one child; the others stand as in a search tree. Both trees of a
    double binary tree have this shape, and depth ``ceil(log2 n)``: where one node
    is the i-th in order in the first, it is the (n - 1 - i)-th or (i + 1)-th in the
    second. The shape of NCCL's ``ncclGetBtree``.
    """
    parents = [0]
    # Children are appended after their parents: (place of the parent, span below).
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
