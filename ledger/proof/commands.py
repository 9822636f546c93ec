"""`flopledger ledger checkpoint`, `verify`, `rebuild` and `journal`."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated, Any

import orjson
import typer

from cli.exits import NO
from cli.output import Format, emit, print_json, progress_bar
from cli.settings import load
from ledger.access import connect
from ledger.place import place
from ledger.proof.checkpoint import FILE_NAME, export, latest, read
from ledger.proof.checkpoint import load as load_checkpoint
from ledger.proof.findings import COLUMNS as FINDING_COLUMNS
from ledger.proof.journal import Entry, entries
from ledger.proof.verify import verify as verify_ledger

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
CHECKPOINT_COLUMNS = ("entry_index", "at", "size", "root", "chains", "key_id", "file")
REBUILT_COLUMNS = ("batches", "readings", "revoked")
JOURNAL_COLUMNS = ("entry_index", "at", "kind", "author", "state", "sha256", "data")


def checkpoint(
    out: Annotated[Path | None, typer.Option(help="file to keep outside, or folder, for `verify --expect`")] = None,
    author: Annotated[str, typer.Option(help="who asks for it")] = "command line",
    form: FormatOption = Format.TABLE,
) -> None:
    """Sign a Merkle root over all evidence, with the head of every chain. A journal entry."""
    with connect(place(load()), time.time_ns) as ledger:
        index = ledger.checkpoint(author)
        made = read(ledger, index)
        if out is not None:
            out = out / FILE_NAME.format(index) if out.is_dir() else out
            export(ledger, index, out)
    row = {
        "entry_index": made.entry_index,
        "at": made.at,
        "size": made.size,
        "root": made.root,
        "chains": len(made.heads),
        "key_id": made.key_id,
        "file": None if out is None else str(out),
    }
    emit("checkpoint", [row], CHECKPOINT_COLUMNS, form)


def verify(
    expect: Annotated[Path | None, typer.Option(help="a checkpoint kept outside, or the folder of some")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check all evidence, and everything derived from it. Exits 1 when something is wrong."""
    expected = None if expect is None else load_checkpoint(latest(expect) if expect.is_dir() else expect)
    with connect(place(load()), time.time_ns) as ledger, progress_bar("verifying") as progress:
        report = verify_ledger(ledger, time.time_ns, time.sleep, expected, progress)
    found = [finding.row() for finding in report.findings]
    if form is Format.JSON:
        print_json({"ok": report.ok, "findings": found, **report.counts()})
    else:
        emit("findings", found, FINDING_COLUMNS, form)
        if form is Format.TABLE:
            counts = ", ".join(f"{count:,} {name}" for name, count in report.counts().items() if isinstance(count, int))
            typer.echo(f"{'in order' if report.ok else 'NOT in order'}: {counts}")
    if not report.ok:
        raise typer.Exit(NO)


def rebuild(form: FormatOption = Format.TABLE) -> None:
    """Derive every other table from the evidence anew. Readers see the old ones until the new ones are whole."""
    with connect(place(load()), time.time_ns) as ledger, progress_bar("rebuilding") as progress:
        done = ledger.rebuild(progress)
    emit("rebuilt", [asdict(done)], REBUILT_COLUMNS, form)


def journal(
    kind: Annotated[str | None, typer.Option(help="only entries of this kind")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="only the last so many")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """The ledger's own signed entries, in order, each with the state of its signature."""
    with connect(place(load()), time.time_ns) as ledger:
        found = deque((entry for entry in entries(ledger) if kind in {None, entry.kind}), maxlen=limit)
    emit("journal", [_journal_row(entry, form) for entry in found], JOURNAL_COLUMNS, form)


def _journal_row(entry: Entry, form: Format) -> dict[str, Any]:
    return {
        "entry_index": entry.index,
        "at": entry.said.get("at"),
        "kind": entry.kind,
        "author": entry.said.get("author"),
        "state": entry.fault or "signed",
        "sha256": entry.sha256.hex(),
        "data": entry.data if form is Format.JSON else orjson.dumps(entry.data).decode(),
    }
