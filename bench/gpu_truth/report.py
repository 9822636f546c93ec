"""The result, written anew after every part: what was measured is not lost with what fails later."""

from __future__ import annotations

import json
import re
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Report:
    """A JSON file that grows part by part, and the time that is left for them."""

    def __init__(
        self, path: Path, head: dict[str, Any], budget_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self.content: dict[str, Any] = {**head, "parts": {}}
        self._clock = clock
        self._began_s = clock()
        self._budget_s = budget_s
        self.write()

    @property
    def left_s(self) -> float:
        """Seconds until the bench must have ended."""
        return self._budget_s - (self._clock() - self._began_s)

    def part(self, name: str, needs_s: float, work: Callable[[], Any]) -> Any:
        """Do a part; its result, its error, or that there was no time for it, is in the file when this returns."""
        began_s = self._clock()
        if self.left_s < needs_s:
            result: Any = {"skipped": f"{self.left_s:.0f} s were left, and it needs {needs_s:.0f} s"}
        else:
            try:
                result = work()
            except Exception as error:  # whatever it is, the other parts are worth having
                result = {"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()[-3_000:]}
        self.content["parts"][name] = result
        self.content["seconds"] = self.content.get("seconds", {}) | {name: round(self._clock() - began_s, 1)}
        self.write()
        return result

    def write(self) -> None:
        """To disk, whole or not at all."""
        unfinished = self.path.with_suffix(".partial")
        unfinished.write_text(json.dumps(self.content, indent=1, default=str) + "\n", encoding="utf-8")
        unfinished.replace(self.path)


def file_stem(device: str, driver: str, at: datetime | None = None) -> str:
    """`<device>-<driver>-<date>`, as a file name."""
    day = (at or datetime.now(UTC)).strftime("%Y-%m-%d")
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part).strip("_") for part in (device, driver)) + f"-{day}"
