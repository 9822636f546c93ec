"""Native blocks as clients of the TCP protocol's revisions read them.

The embedded engine writes the oldest form. A client that says `client_protocol_version` (clickhouse-go, and so
Grafana) reads a block's info first and, before each column, whether it is serialised in a way of its own: never, here.
Where a column ends follows from its type, so the blocks are walked through once and put together again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clickhouse_connect.datatypes.container import Array, Map, Tuple
from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.datatypes.special import Nothing, SimpleAggregateFunction
from clickhouse_connect.datatypes.string import FixedString, String

from ledger.gateway.errors import NOT_IMPLEMENTED, Failed

if TYPE_CHECKING:
    from clickhouse_connect.datatypes.base import ClickHouseType

WITH_CUSTOM_SERIALIZATION = 54_454
_INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])
"""Field 1, overflows: no; field 2, bucket: −1; end."""
_AS_ALWAYS = b"\0"


def revised(data: bytes, revision: int) -> bytes:
    """`data`, blocks of the oldest form, as this revision has them; raises `Failed` for a type of unknown size."""
    if revision <= 0:
        return data
    walk = Walk(data)
    pieces = []
    while walk.place < len(data):
        begin = walk.place
        columns, rows = walk.number(), walk.number()
        pieces += [_INFO, data[begin : walk.place]]
        for _ in range(columns):
            begin = walk.place
            walk.text()
            name = walk.text().decode()
            pieces.append(data[begin : walk.place])
            if revision >= WITH_CUSTOM_SERIALIZATION:
                pieces.append(_AS_ALWAYS)
            begin = walk.place
            if rows:
                kind = get_from_name(name)
                walk.prefix(kind)
                walk.column(kind, rows)
            pieces.append(data[begin : walk.place])
    return b"".join(pieces)


class Walk:
    """A place in the bytes, and how far each thing reaches from it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def number(self) -> int:
        """A LEB128 number."""
        value = shift = 0
        while True:
            byte = self._data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def text(self) -> bytes:
        """A string with its length before it."""
        size = self.number()
        self.place += size
        return self._data[self.place - size : self.place]

    def prefix(self, kind: ClickHouseType) -> None:
        """What low-cardinality columns write before all data: their version."""
        if kind.low_card:
            self.place += 8
            return
        for inner in _inner(kind):
            self.prefix(inner)

    def column(self, kind: ClickHouseType, rows: int) -> None:
        """The values of a column."""
        match kind:
            case _ if kind.low_card:
                self._low_cardinality(kind, rows)
            case SimpleAggregateFunction():
                self.column(kind.element_type, rows)
            case Array() | Map():
                count = self._fixed(8 * (rows - 1), 8)
                for inner in _inner(kind):
                    self.column(inner, count)
            case Tuple():
                for inner in _inner(kind):
                    self.column(inner, rows)
            case _:
                self.place += rows if kind.nullable else 0
                self._plain(kind, rows)

    def _plain(self, kind: ClickHouseType, rows: int) -> None:
        if isinstance(kind, Nothing):
            self.place += rows
        elif isinstance(kind, String) and not isinstance(kind, FixedString):
            for _ in range(rows):
                self.text()
        elif kind.byte_size:
            self.place += rows * kind.byte_size
        else:
            raise Failed(NOT_IMPLEMENTED, f"type {kind.name} cannot be sent to this client: cast it to String")

    def _low_cardinality(self, kind: ClickHouseType, rows: int) -> None:
        flags = self._fixed(0, 8)
        keys = self._fixed(0, 8)
        self._plain(kind, keys)
        self.place += 8 + rows * (1 << (flags & 0xFF))

    def _fixed(self, skipped: int, size: int) -> int:
        self.place += skipped + size
        return int.from_bytes(self._data[self.place - size : self.place], "little")


def _inner(kind: ClickHouseType) -> tuple[Any, ...]:
    match kind:
        case Map():
            return (kind.key_type, kind.value_type)
        case Tuple():
            return tuple(kind.element_types)
        case Array() | SimpleAggregateFunction():
            return (kind.element_type,)
        case _:
            return ()
