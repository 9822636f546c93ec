"""What the next delta starts from, as it is stored beside each batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.devices.interface import ProcessKey, ProcessUse, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def encode(snapshots: Iterable[Snapshot]) -> dict[str, Any]:
    """Snapshots by device, as JSON; what a backend keeps for itself stays out."""
    return {
        snapshot.device: {
            "at_ns": snapshot.at_ns,
            "epoch": snapshot.epoch,
            "resumable": snapshot.resumable,
            "counters": dict(snapshot.counters) if snapshot.resumable else {},
            "processes": [[use.key.pid, use.key.started, use.key.boot_id, use.busy_ns] for use in snapshot.processes],
        }
        for snapshot in snapshots
    }


def decode(stored: Mapping[str, Any]) -> dict[str, Snapshot]:
    """The inverse of `encode`."""
    return {
        device: Snapshot(
            device=device,
            at_ns=fields["at_ns"],
            epoch=fields["epoch"],
            resumable=fields["resumable"],
            counters=fields["counters"],
            processes=tuple(
                ProcessUse(ProcessKey(pid, started, boot_id), busy_ns)
                for pid, started, boot_id, busy_ns in fields["processes"]
            ),
        )
        for device, fields in stored.items()
    }
