"""One agent per node: two would count everything twice."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

from agent.errors import NodeLocked
from cli.held import AlreadyHeld, hold


def default_path() -> Path:
    """A place that every user of this host shares."""
    shared = Path("/run/lock")
    return (shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())) / "flopledger-agent.lock"


def lock_node(path: Path) -> IO[str]:
    """Hold the node until the returned file is closed or this process ends; raises `NodeLocked`."""
    try:
        return hold(path)
    except AlreadyHeld as error:
        raise NodeLocked(
            f"another agent (pid {error.holder}) already counts this node and holds {path}: two would count it twice"
        ) from error
    except OSError as error:
        raise NodeLocked(f"{path}: {error.strerror}; set FLOPLEDGER_NODE_LOCK to a file that may be written") from error
