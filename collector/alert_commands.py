"""`flopledger alerts …`: what the ledger says of alerts, and whether the ways to people work."""

from __future__ import annotations

import difflib
import time
import uuid
from typing import Annotated

import typer

from cli.exits import DONE, NO, UNREACHABLE, Misconfigured
from cli.output import Format, emit
from cli.settings import load
from collector.notify.channel_file import channels
from collector.notify.errors import Refused, Unreached
from collector.notify.service import source
from collector.notify.trial import trial
from ledger.assessment.commands import app

__all__ = ["app"]

TEST_COLUMNS = ("channel", "outcome", "detail", "message_id")


@app.command("test")
def try_channel(
    channel: Annotated[str, typer.Argument(help="its name in the file that FLOPLEDGER_CHANNELS names")],
    form: Annotated[Format, typer.Option("--format", help="table, json or csv")] = Format.TABLE,
) -> None:
    """Send a message that says it is a test; exit code 0 when it was accepted, 1 when it was refused, 3 when the
    channel was not reached.
    """
    settings = load()
    if settings.channels is None:
        raise Misconfigured("there are no channels: name a file of them with FLOPLEDGER_CHANNELS (docs/alerts.md)")
    found = {one.name: one for one in channels(settings.channels, source(settings), time.time_ns)}
    if channel not in found:
        near = difflib.get_close_matches(channel, found, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(found) or 'none'}"
        raise Misconfigured(f"{settings.channels} has no channel {channel}; {hint}")
    message = trial(str(uuid.uuid4()), time.time_ns(), settings.runbook_url)
    code = DONE
    try:
        outcome, detail = "accepted", found[channel].send(message)
    except Refused as error:
        outcome, detail, code = "refused", str(error), NO
    except Unreached as error:
        outcome, detail, code = "unreached", str(error), UNREACHABLE
    said = {"channel": channel, "outcome": outcome, "detail": detail, "message_id": message.message_id}
    emit("deliveries", [said], TEST_COLUMNS, form)
    raise typer.Exit(code)
