"""How long `flopledger demo` takes, set-up excluded, as a user would time it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any


def measure() -> dict[str, Any]:
    """The whole command, with a fresh home."""
    with tempfile.TemporaryDirectory() as home:
        began = time.monotonic()
        answer = subprocess.run(
            [sys.executable, "-m", "flopledger", "demo", "--format", "json"],
            env={**os.environ, "HOME": home},
            check=True,
            capture_output=True,
        )
        took_s = time.monotonic() - began
    return {"wall_s": round(took_s, 1), "exact": json.loads(answer.stdout)["exact"], "targets": {"wall_s": 90}}
