"""Answers as small as the client asked for: HTTP's own encodings, or ClickHouse's frames (`compress=1`)."""

from __future__ import annotations

import gzip
import zlib

import lz4.block
import lz4.frame
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

_FRAME_BYTES = 1 << 20
_LZ4 = 0x82
_LOWER = (1 << 64) - 1
_ENCODERS = {
    "zstd": lambda data: zstandard.ZstdCompressor(level=1).compress(data),
    "lz4": lz4.frame.compress,
    "gzip": lambda data: gzip.compress(data, 3, mtime=0),
    "deflate": lambda data: zlib.compress(data, 3),
}


def chosen(accepted: str) -> str | None:
    """The encoding for an `Accept-Encoding` header; None for the plain bytes."""
    names = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    return next((name for name in _ENCODERS if name in names), None)


def encoded(data: bytes, encoding: str) -> bytes:
    """`data` in one of HTTP's encodings."""
    return bytes(_ENCODERS[encoding](data))


def framed(data: bytes) -> bytes:
    """`data` in ClickHouse's own frames: CityHash128 (its version 1.0.2), method, both sizes, LZ4 block."""
    frames = []
    for start in range(0, len(data), _FRAME_BYTES):
        piece = data[start : start + _FRAME_BYTES]
        packed = lz4.block.compress(piece, store_size=False)
        head = bytes([_LZ4]) + (len(packed) + 9).to_bytes(4, "little") + len(piece).to_bytes(4, "little")
        digest = CityHash128(head + packed)
        frames += [(digest >> 64).to_bytes(8, "little"), (digest & _LOWER).to_bytes(8, "little"), head, packed]
    return b"".join(frames)
