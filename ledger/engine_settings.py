"""Settings that go along with every statement. Defaults of these moved between engine versions, and an operator's
profile may say otherwise, so each one that correctness touches is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = dict[str, Any]

_INSERT: Settings = {
    # Answered when the rows are in the table, and not when they are in a buffer.
    "async_insert": 0,
    "wait_for_async_insert": 1,
    # A replay is harmless by itself. What decides whether rows are dropped as known ones is only sent in `once`.
    "insert_deduplicate": 0,
    "deduplicate_insert": "disable",
    # A null is an error, and so is a column that nobody knows or a row that cannot be read.
    "input_format_null_as_default": 0,
    "input_format_skip_unknown_fields": 0,
    "input_format_allow_errors_num": 0,
    "input_format_allow_errors_ratio": 0,
    "materialized_views_ignore_errors": 0,
    "timeout_overflow_mode": "throw",
}
_INSERT_CLUSTERED: Settings = {
    # Answered when a majority of the shard's replicas has the rows, and not when they wait to be forwarded.
    "distributed_foreground_insert": 1,
    "insert_quorum": "auto",
    "insert_quorum_parallel": 1,
    "insert_quorum_timeout": 20_000,
}
_READ: Settings = {
    "max_execution_time": 60,
    "timeout_overflow_mode": "throw",
    "max_result_rows": 1_000_000,
    "result_overflow_mode": "throw",
    "read_overflow_mode": "throw",
}
_READ_SHARED: Settings = {
    "max_execution_time": 25,
    "join_use_nulls": 0,
    # A shard that does not answer must not make a total smaller.
    "skip_unavailable_shards": 0,
    # Without this, what joins or asks IN a sharded table is refused.
    "distributed_product_mode": "global",
    "prefer_global_in_and_join": 1,
}
MINUTES_OF_DDL: Settings = {"distributed_ddl_task_timeout": 170, "distributed_ddl_output_mode": "throw"}
"""A statement for the whole cluster is done when every node says so, or it fails."""


def insert_settings(clustered: bool) -> Settings:
    """What every insert carries."""
    return _INSERT | (_INSERT_CLUSTERED if clustered else {})


def once_settings(token: str) -> Settings:
    """What an insert carries of which only the first with this token may enter the table. In a cluster one follows the
    other, so that a read that asks for it sees all of them.
    """
    return {
        "insert_deduplicate": 1,
        "deduplicate_insert": "enable",
        "insert_deduplication_token": token,
        "insert_quorum_parallel": 0,
    }


def read_settings(shared: bool, readonly: bool, fresh: bool) -> Settings:
    """What every query carries. `readonly`: the server has made us so already, and lets nobody say it again. `fresh`:
    a replica that has not got what a majority has must not answer.
    """
    return (
        ({} if readonly else {"readonly": 1})
        | _READ
        | (_READ_SHARED if shared else {})
        | ({"select_sequential_consistency": 1} if fresh else {})
    )


def understood(settings: Settings, known: Mapping[str, Any]) -> Settings:
    """Those that this server has: older ones lack some, newer ones have dropped some."""
    return {name: value for name, value in settings.items() if name in known}
