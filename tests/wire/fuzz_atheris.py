"""Opening under atheris, which steers by the lines that an input reaches: `make fuzz` runs it.

Takes libFuzzer's arguments. Begins with the bodies of valid batches.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["wire"]):
    from tests.wire.fuzzing import decodes_or_refuses, subjects

DICTIONARY = (
    *("readings", "meters", "count", "of", "rows", "per", "plus", "at_ns", "flop", "flop_low", "flop_high", "tokens"),
    *("tensor_cycles", "devices", "events", "detail", "schema", "prev", "seq", "null", "9223372036854775807", "-1"),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        corpus, words = Path(directory) / "corpus", Path(directory) / "words"
        corpus.mkdir()
        for n, sealed in enumerate(subjects()):
            (corpus / str(n)).write_bytes(sealed.body)
        words.write_text("".join(f'"{word}"\n' for word in DICTIONARY), encoding="utf-8")
        limits = ["-max_len=8192", "-timeout=10", "-verbosity=0", f"-dict={words}", f"-artifact_prefix={directory}/"]
        atheris.Setup([*sys.argv, *limits, str(corpus)], one)
        atheris.Fuzz()


def one(data: Any) -> None:
    decodes_or_refuses(bytes(data))


if __name__ == "__main__":
    main()
