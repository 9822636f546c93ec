from __future__ import annotations

from typing import TYPE_CHECKING

import pynvml
import pytest

from tests.agent.devices.nvml.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A node without GPUs; a test adds what it needs."""
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    node = Machine(tmp_path)
    yield node
    node.close()
    pynvml._nvmlGetFunctionPointer_cache.clear()
