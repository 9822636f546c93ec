"""What the holder of an embedded ledger does for its readers: the gateway, and the rows that are computed ahead."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ledger.listening import PortTaken
from ledger.refreshing import EVERY_S, refreshing
from ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli.settings import Settings

log = logging.getLogger(__name__)

REFRESH_EVERY_S = EVERY_S


@contextmanager
def reading_beside(data_dir: Path | None, settings: Settings) -> Iterator[None]:
    """While the block runs, others can read the ledger in `data_dir`, which this process holds; with None it is on a
    server, which does all this itself.

    A port that is taken is said once: counting matters more than being read.
    """
    if data_dir is None:
        yield
        return
    # It loads the engine, which a collector of a server never needs.
    from ledger.gateway.server import Gateway, read_token  # noqa: PLC0415

    directory = data_dir / "ledger"
    token = None if settings.gateway_token_file is None else read_token(settings.gateway_token_file)
    gateway = None
    if settings.gateway_port:
        try:
            gateway = Gateway(directory, settings.gateway_host, settings.gateway_port, token)
            gateway.start()
        except PortTaken as error:
            log.warning("%s; until then nobody reads the ledger over HTTP, and counting goes on", error)
    try:
        with refreshing(lambda: Store.embedded(directory), every_s=REFRESH_EVERY_S):
            yield
    finally:
        if gateway is not None:
            gateway.stop()
