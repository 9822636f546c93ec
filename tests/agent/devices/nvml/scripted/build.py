"""Compiles the scripted library, once per version of its source."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[4] / ".cache" / "scripted-nvml"


def library(without: Collection[str] = ()) -> Path:
    """Where the compiled libnvidia-ml.so.1 lies; `without` are functions that this driver is too old to export."""
    hidden = "".join(f"{name};" for name in sorted(without))
    versions = f"{{ global: *; {f'local: {hidden}' if hidden else ''} }};\n"
    sources = sorted(_HERE.glob("*.[ch]"))
    digest = hashlib.sha256(versions.encode())
    for source in sources:
        digest.update(source.read_bytes())
    built = _CACHE / digest.hexdigest()[:16] / "libnvidia-ml.so.1"
    if not built.exists():
        built.parent.mkdir(parents=True, exist_ok=True)
        script = built.with_name(f"{os.getpid()}.map")
        script.write_text(versions)
        unfinished = built.with_name(f"{os.getpid()}.so")
        subprocess.run(
            [
                *("gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"),
                *("-Wl,-soname,libnvidia-ml.so.1", f"-Wl,--version-script={script}", "-o", str(unfinished)),
                *(str(source) for source in sources if source.suffix == ".c"),
                "-lm",
            ],
            check=True,
        )
        unfinished.rename(built)
    return built
