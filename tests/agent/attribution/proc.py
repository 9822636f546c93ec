"""A `/proc` of a test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.attribution.process_facts import ProcessFacts
from agent.devices.interface import Device, ProcessKey

if TYPE_CHECKING:
    from pathlib import Path

BOOT_UNIX_NS = 1_700_000_000_000_000_000
POD_UID = "2f3c4d5e-0001-4a2b-8c3d-1234567890ab"
OTHER_UID = "99999999-0001-4a2b-8c3d-1234567890ab"
GPU = Device("GPU-a", "gpu", "H100", None, 132, 1980, place="0")


class Proc:
    """Processes with cgroup, environment and status, as the kernel shows them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.facts = ProcessFacts(root, lambda: BOOT_UNIX_NS)

    def add(
        self,
        pid: int,
        cgroup: str = "0::/user.slice\n",
        environ: dict[str, str] | None = None,
        inner: int | None = None,
    ) -> ProcessKey:
        """A process that began at boot."""
        place = self.root / str(pid)
        place.mkdir()
        (place / "cgroup").write_text(cgroup)
        (place / "environ").write_bytes(
            b"\0".join(os.fsencode(f"{name}={value}") for name, value in (environ or {}).items())
        )
        (place / "status").write_text(f"Name:\tpython\nNSpid:\t{pid}" + (f"\t{inner}\n" if inner else "\n"))
        return ProcessKey(pid, 0, "boot")


def pod_cgroup(uid: str = POD_UID) -> str:
    """As systemd and cgroup v2 have it."""
    return f"0::/kubepods.slice/kubepods-pod{uid.replace('-', '_')}.slice/cri-containerd-0123abcd.scope\n"
