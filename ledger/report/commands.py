"""`flopledger ledger report`: an account to hand on."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import typer

from cli.exits import Misconfigured
from cli.settings import load
from ledger.access import connect
from ledger.place import place
from ledger.report.gather import gather
from ledger.report.render import html_report, json_report, markdown_report


class Form(StrEnum):
    """What a report can be."""

    HTML = "html"
    JSON = "json"
    MARKDOWN = "markdown"


class Kind(StrEnum):
    """What a report can be about."""

    MODEL = "model"
    SYSTEM = "system"
    RUN = "run"


_MAKERS = {Form.HTML: html_report, Form.JSON: json_report, Form.MARKDOWN: markdown_report}


def report(
    subject: Annotated[str, typer.Argument(help="model, system or run")],
    threshold: Annotated[str, typer.Option(help="line to report against: `flopledger thresholds list`")],
    kind: Annotated[
        Kind | None, typer.Option(help="which, where a name is several: a model before a system before a run")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="html, json or markdown")] = Form.HTML,
    out: Annotated[Path | None, typer.Option(help="file to write; printed if left out")] = None,
) -> None:
    """An account against one line to hand on: totals, bounds, what counts, method, coverage, evidence."""
    with connect(place(load()), time.time_ns) as ledger:
        text = _MAKERS[form](gather(ledger, subject, threshold, kind or "", time.time_ns()))
    if out is None:
        sys.stdout.write(text)
        return
    write(out, text)
    typer.echo(f"{subject} against {threshold}: {out}")


def write(path: Path, text: str) -> None:
    """The whole file or none of it; raises `Misconfigured`."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise Misconfigured(f"--out {path}: {error.strerror}") from error
