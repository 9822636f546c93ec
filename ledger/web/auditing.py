"""What auditors use beside the pages: a console and verifications; and how to run what somebody may walk out on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import Request

from cli.settings import Settings
from ledger.access import Access
from ledger.web.console import Console, console
from ledger.web.verifying import Verifications

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Auditing:
    """Over one ledger."""

    console: Console
    verifications: Verifications

    @classmethod
    def over(cls, access: Access, settings: Settings, now_ns: Callable[[], int]) -> Auditing:
        """Nothing is opened before somebody asks."""
        return cls(console(access, settings), Verifications(access, now_ns))

    def close(self) -> None:
        """Stop what runs."""
        self.verifications.close()
        self.console.close()


def _auditing(request: Request) -> Auditing:
    found: Auditing = request.app.state.auditing
    return found


AuditingOf = Annotated[Auditing, Depends(_auditing)]
"""A parameter of a route."""


async def unless_gone(request: Request, work: Callable[[], Found], cancel: Callable[[], object]) -> Found:
    """What `work` gives; a client that hangs up has it cancelled."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    gone = asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await asyncio.to_thread(cancel)
        return await running
    finally:
        gone.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
