"""What a Containerfile says, as far as ours use the language."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Containerfile:
    """The bases of its stages, and what the last stage is run with."""

    bases: tuple[str, ...]
    steps: tuple[str, ...]
    environ: Mapping[str, str]
    labels: Mapping[str, str]
    user: tuple[int, int]
    working_directory: str
    entry_point: tuple[str, ...]
    command: tuple[str, ...]


def read(path: Path) -> Containerfile:
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line]
    arguments = dict(rest.split("=", 1) for word, rest in lines if word == "ARG")
    starts = [index for index, (word, _) in enumerate(lines) if word == "FROM"]
    last = lines[starts[-1] :]
    said = {word: rest for word, rest in last if word not in ("ENV", "LABEL")}
    uid, gid = said["USER"].split(":")
    return Containerfile(
        bases=tuple(re.sub(r"\$\{(\w+)\}", lambda m: arguments[m[1]], lines[index][1].split()[0]) for index in starts),
        steps=tuple(rest for word, rest in lines if word == "RUN"),
        environ=_pairs(last, "ENV"),
        labels=_pairs(last, "LABEL"),
        user=(int(uid), int(gid)),
        working_directory=said["WORKDIR"],
        entry_point=tuple(json.loads(said["ENTRYPOINT"])),
        command=tuple(json.loads(said["CMD"])),
    )


def _pairs(lines: list[list[str]], wanted: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for word, rest in lines if word == wanted for pair in shlex.split(rest))
