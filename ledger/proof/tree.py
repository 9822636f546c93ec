"""The Merkle tree of RFC 6962, section 2.1: roots, and proofs that a leaf is in a tree or that a tree goes on another.

A proof is a list of hashes of ranges of leaves. Which ranges follows from the sizes alone, so one pass over the leaves
makes any proof, in memory that grows with the logarithm of their number.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
Range = tuple[int, int]
"""Leaves from the first number up to, and without, the second."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows leaf by leaf: the roots of its complete subtrees, largest first, and nothing else."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add the hash of one more leaf."""
        self.size += 1
        rest = self.size
        while rest % 2 == 0:
            leaf = node_hash(self._roots.pop(), leaf)
            rest //= 2
        self._roots.append(leaf)

    def root(self) -> bytes:
        """The hash of the tree as it is."""
        if not self._roots:
            return EMPTY_ROOT
        *rest, root = self._roots
        for left in reversed(rest):
            root = node_hash(left, root)
        return root


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that leaf `index` is in the tree of `size` leaves, deepest first."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return list(_path(index, 0, size))


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """The ranges whose hashes prove that the tree of `size` leaves begins with the tree of `old_size`."""
    if not 0 < old_size <= size:
        raise ValueError(f"a tree of {size} leaves does not go on one of {old_size}")
    return list(_subproof(old_size, 0, size, complete=True))


def range_hashes(leaves: Iterable[bytes], ranges: Sequence[Range]) -> list[bytes]:
    """The hash of the subtree over each range, in one pass over the hashes of all leaves."""
    found: dict[Range, bytes] = {}
    waiting = sorted(ranges)
    tree = Frontier()
    for n, leaf in enumerate(leaves):
        if not waiting:
            break
        start, end = waiting[0]
        if n < start:
            continue
        tree.append(leaf)
        if n + 1 == end:
            found[waiting.pop(0)] = tree.root()
            tree = Frontier()
    if waiting:
        raise ValueError(f"there are no leaves {waiting[0][0]} to {waiting[0][1]}")
    return [found[item] for item in ranges]


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """The leaf with this hash is number `index` of the tree of `size` leaves with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    number, last = index, size - 1
    for sibling in path:
        if last == 0:
            return False
        if number % 2 == 1 or number == last:
            leaf = node_hash(sibling, leaf)
            while number % 2 == 0 and number != 0:
                number, last = number // 2, last // 2
        else:
            leaf = node_hash(leaf, sibling)
        number, last = number // 2, last // 2
    return last == 0 and leaf == root


def consistent(old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """The tree of `size` leaves with this root begins with the older one (RFC 9162, 2.1.4.2)."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not path and old_root == root
    hashes = list(path)
    if old_size & (old_size - 1) == 0:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    number, last = old_size - 1, size - 1
    while number % 2 == 1:
        number, last = number // 2, last // 2
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number % 2 == 1 or number == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while number % 2 == 0 and number != 0:
                number, last = number // 2, last // 2
        else:
            new = node_hash(new, sibling)
        number, last = number // 2, last // 2
    return last == 0 and old == old_root and new == root


def _path(index: int, start: int, end: int) -> Iterator[Range]:
    if end - start == 1:
        return
    middle = start + _split(end - start)
    if index < middle - start:
        yield from _path(index, start, middle)
        yield middle, end
    else:
        yield from _path(index - (middle - start), middle, end)
        yield start, middle


def _subproof(old_size: int, start: int, end: int, *, complete: bool) -> Iterator[Range]:
    if old_size == end - start:
        if not complete:
            yield start, end
        return
    middle = start + _split(end - start)
    if old_size <= middle - start:
        yield from _subproof(old_size, start, middle, complete=complete)
        yield middle, end
    else:
        yield from _subproof(old_size - (middle - start), middle, end, complete=False)
        yield start, middle


def _split(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
