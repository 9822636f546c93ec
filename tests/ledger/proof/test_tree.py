"""Against the vectors of the certificate-transparency project's reference implementation (eight leaves), and against
the definition in RFC 6962 written out.
"""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.proof.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_ranges,
    consistent,
    included,
    inclusion_ranges,
    leaf_hash,
    range_hashes,
)

ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


def grown(leaves: list[bytes]) -> Frontier:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def root_by_definition(entries: list[bytes]) -> bytes:
    if len(entries) <= 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest() if entries else EMPTY_ROOT
    split = next(1 << n for n in range(64) if 1 << n < len(entries) <= 2 << n)
    left, right = root_by_definition(entries[:split]), root_by_definition(entries[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert grown(LEAVES[:size]).root().hex() == ROOTS[size - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert Frontier().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_inclusion_proofs_are_those_of_certificate_transparency(index: int, size: int) -> None:
    path = range_hashes(LEAVES, inclusion_ranges(index, size))
    assert [item.hex() for item in path] == INCLUSION[index, size]


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_consistency_proofs_are_those_of_certificate_transparency(old: int, new: int) -> None:
    path = range_hashes(LEAVES, consistency_ranges(old, new))
    assert [item.hex() for item in path] == CONSISTENCY[old, new]


@given(st.integers(1, 70), st.data())
def test_every_leaf_is_proved_and_no_other_in_its_place(size: int, data: st.DataObject) -> None:
    entries = [bytes([n]) for n in range(size)]
    leaves = [leaf_hash(entry) for entry in entries]
    root = grown(leaves).root()
    assert root == root_by_definition(entries)
    index = data.draw(st.integers(0, size - 1))
    path = range_hashes(leaves, inclusion_ranges(index, size))
    assert included(leaves[index], index, size, path, root)
    other = data.draw(st.integers(0, size - 1))
    assert included(leaves[other], index, size, path, root) == (other == index)
    assert included(leaves[index], other, size, path, root) == (other == index)
    assert not included(leaves[index], index, size, [*path, root], root)
    assert size == 1 or not included(leaves[index], index, size, path[:-1], root)


@given(st.integers(1, 70), st.integers(0, 70), st.data())
def test_a_tree_that_goes_on_another_is_proved_and_no_other(old: int, more: int, data: st.DataObject) -> None:
    size = old + more
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    old_root, root = grown(leaves[:old]).root(), grown(leaves).root()
    path = range_hashes(leaves, consistency_ranges(old, size))
    assert consistent(old, old_root, size, root, path)
    changed = data.draw(st.integers(0, old - 1))
    other = grown([leaf_hash(b"other") if n == changed else leaf for n, leaf in enumerate(leaves[:old])]).root()
    assert not consistent(old, other, size, root, path)
    assert not consistent(old, old_root, size, other, path)


def test_what_cannot_be_proved_is_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 8"):
        inclusion_ranges(8, 8)
    with pytest.raises(ValueError, match="does not go on"):
        consistency_ranges(9, 8)
    with pytest.raises(ValueError, match="no leaves 4 to 8"):
        range_hashes(LEAVES[:7], [(4, 8)])
