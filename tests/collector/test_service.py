from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from collector.service import announce, collecting
from collector.sources.interface import UNKNOWN_LAG, Lag
from collector.sources.memory import MemoryBroker
from ledger.access import SOCKET, Remote, connect
from ledger.assessment.alert import Alert
from ledger.errors import Fatal, Held
from ledger.ledger import Ledger
from tests.ledger.chains import NOW_NS, Chain, meter
from tests.ledger.engine import Clock
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from collector.sources.interface import Message


class Watched:
    """A source with nothing in it, that tells when it was closed."""

    def __init__(self) -> None:
        self.closed = 0

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        return ()

    def commit(self, messages: Sequence[Message]) -> None:
        pass

    def pause(self) -> None:
        pass

    def resume(self) -> None:
        pass

    def owned(self) -> frozenset[int]:
        return frozenset()

    def lag(self) -> Lag:
        return UNKNOWN_LAG

    def close(self) -> None:
        self.closed += 1


def ignore(alerts: Sequence[Alert]) -> None:
    pass


def test_while_it_collects_others_ask_it_and_afterwards_the_ledger_is_free(tmp_path: Path) -> None:
    broker = MemoryBroker()
    sealed = Chain().seal(meter(6 * 10**24))
    broker.send([sealed, Sealed(b"?", sealed.sha256, sealed.key_id, sealed.signature)])
    told: list[Alert] = []
    with (
        collecting(broker.source(), tmp_path, told.extend, Clock()) as (collector, _),
        connect(tmp_path, Clock()) as other,
    ):
        assert isinstance(other, Remote)
        assert other.query("SELECT count() FROM batches").rows == [[0]]
        assert collector.step(timeout_s=0) == 2
        collector.assess()
        assert other.query("SELECT flop FROM run_totals").rows == [[6 * 10**24]]
    assert {alert.kind for alert in told} == {"estimate", "upper_bound"}
    assert not (tmp_path / SOCKET).exists()
    assert len(list((tmp_path / "quarantine").glob("*.json"))) == 1
    with connect(tmp_path, Clock()) as again:
        assert isinstance(again, Ledger)
        assert again.query("SELECT count() FROM alerts").rows[0][0] == 2


def test_an_error_inside_lets_go_of_everything(tmp_path: Path) -> None:
    source = Watched()
    with pytest.raises(ZeroDivisionError), collecting(source, tmp_path, ignore, Clock()):
        raise ZeroDivisionError
    assert source.closed == 1
    assert not (tmp_path / SOCKET).exists()
    Ledger.open(tmp_path, Clock()).close()


def test_a_directory_that_somebody_holds_is_left_to_him(tmp_path: Path) -> None:
    with collecting(Watched(), tmp_path, ignore, Clock()):
        with pytest.raises(Held), collecting(Watched(), tmp_path, ignore, Clock()):
            pass
        with connect(tmp_path, Clock()) as other:
            assert isinstance(other, Remote)


def test_a_directory_where_no_socket_can_be_is_not_left_held(tmp_path: Path) -> None:
    far = tmp_path / ("d" * 100)
    with pytest.raises(Fatal, match="107 bytes"), collecting(Watched(), far, ignore, Clock()):
        pass
    Ledger.open(far, Clock()).close()


def test_an_alert_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        announce(
            [
                Alert("run", "llama", "upper_bound", "the upper bound is there"),
                Alert("model", "llama", "forecast", "it will be there", expected_at_ns=NOW_NS),
            ]
        )
    assert [record.message for record in caplog.records] == [
        "ALERT run llama: the upper bound is there",
        "ALERT model llama: it will be there, expected 2026-11-23T14:26Z",
    ]
