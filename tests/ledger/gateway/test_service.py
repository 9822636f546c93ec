"""What the holder of a ledger does for its readers."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

from cli.settings import Settings
from ledger.errors import Fatal
from ledger.gateway import service
from ledger.gateway.service import reading_beside
from ledger.ledger import Ledger
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from pathlib import Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_while_it_counts_the_ledger_can_be_read_and_its_curves_are_brought_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REFRESH_EVERY_S", 0.05)
    port = free_port()
    with (
        closing(Ledger.open(tmp_path, Clock())) as ledger,
        reading_beside(tmp_path, Settings(data_dir=tmp_path, gateway_port=port)),
    ):
        take(ledger, [Chain(1).seal(meter(7, run="r"))])
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}") as client:
            answers = (client.post("/", content="SELECT run_id, flop FROM run_hours").text for _ in range(1_000))
            assert next(filter(None, answers), "") == "r\t7\n"


def test_a_port_that_is_taken_stops_no_counting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, closing(Ledger.open(tmp_path, Clock())) as ledger:
        settings = Settings(data_dir=tmp_path, gateway_port=other.getsockname()[1])
        with caplog.at_level(logging.WARNING), reading_beside(tmp_path, settings):
            take(ledger, [Chain(1).seal(meter(7, run="r"))])
    assert "choose another FLOPLEDGER_GATEWAY_PORT, or 0 for none; until then nobody reads" in caplog.text


def test_a_token_that_cannot_be_read_is_said_at_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, gateway_token_file=tmp_path / "none")
    with pytest.raises(Fatal, match="gateway_token_file"), reading_beside(tmp_path, settings):
        pass
