"""Agent, collector and ledger in one process: the embedded default, with no server to install."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from agent.assembly import OUTBOX_FILE, AgentService
from collector.service import announce, collecting
from collector.sources.outbox import OutboxSource
from collector.sources.outbox_file import OutboxFile
from ledger.gateway.service import reading_beside
from ledger.place import server_of
from ledger.web.pool import beside
from ledger.web.service import showing

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.settings import Settings


def up(settings: Settings, stop: threading.Event, ready: Callable[[AgentService], None] = lambda _: None) -> None:
    """Count this node into the ledger in its data directory until `stop` is set, then seal and record what is left.

    `ready` is called once everything listens.
    """
    with AgentService(settings) as service, closing(OutboxFile(settings.data_dir / OUTBOX_FILE)) as outbox:
        source = OutboxSource([outbox], stop.wait)
        failures: list[BaseException] = []
        server = server_of(settings)
        held = collecting(source, settings.data_dir, announce, time.time_ns, server=server, settings=settings)
        with ExitStack() as stack:
            collector, ledger = stack.enter_context(held)
            stack.enter_context(reading_beside(None if server else settings.data_dir, settings))
            access = ledger if server else stack.enter_context(beside(ledger, settings.data_dir))
            stack.enter_context(showing(access, settings, time.time_ns))
            agent = threading.Thread(target=_guard, args=(service, stop, failures), name="agent")
            agent.start()
            ready(service)
            try:
                collector.run(stop.wait, settings.assess_every_s)
            finally:
                stop.set()
                agent.join()
            while collector.step(timeout_s=0):
                pass
            collector.assess()
        if failures:
            raise failures[0]


def _guard(service: AgentService, stop: threading.Event, failures: list[BaseException]) -> None:
    """Run the agent; if it dies, the whole process ends, and whoever supervises it starts it again."""
    try:
        service.run(stop.wait)
    except BaseException as error:
        failures.append(error)
        stop.set()
