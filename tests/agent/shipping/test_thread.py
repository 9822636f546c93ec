from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from agent.errors import Fatal, Retry
from agent.outbox import Outbox
from agent.shipping.thread import IDLE_S, ShippingThread
from tests.wire.batches import signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wire.seal import Sealed

PATIENCE_S = 10.0


class Broker:
    """Raises each error once and then takes all; with `stuck` it takes nothing and returns only when closed."""

    def __init__(self, *errors: Exception, stuck: bool = False) -> None:
        self.errors = list(errors)
        self.stuck = stuck
        self.asked = threading.Event()
        self.closed = threading.Event()
        self.taken: list[bytes] = []

    def send(self, batches: Sequence[Sealed]) -> int:
        self.asked.set()
        if self.stuck:
            self.closed.wait()
            raise Retry("closed")
        if self.errors:
            raise self.errors.pop(0)
        self.taken += [sealed.body for sealed in batches]
        return len(batches)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    made = Outbox(":memory:")
    yield made
    made.close()


def store(outbox: Outbox, count: int) -> list[bytes]:
    bodies = [str(outbox.next_seq + i).encode() for i in range(count)]
    for body in bodies:
        outbox.store(outbox.next_seq, signed(body), [], "incarnation", {})
    return bodies


def wait_until(reached: Callable[[], bool]) -> None:
    patience_ends = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < patience_ends
        time.sleep(0.005)


def test_ships_what_is_stored_while_it_runs_and_forgets_it(outbox: Outbox) -> None:
    broker = Broker()
    shipping = ShippingThread(outbox, broker)
    shipping.start()
    bodies = store(outbox, 3)
    wait_until(lambda: outbox.stored_batches() == 0)
    shipping.finish()
    assert broker.taken == bodies
    assert broker.closed.is_set()


@pytest.mark.parametrize("error", [Fatal("wrong password"), KeyError("a bug")], ids=["fatal", "our own mistake"])
def test_what_somebody_must_put_right_is_said_once_and_tried_again(
    outbox: Outbox, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = store(outbox, 1)
    broker = Broker(error)
    shipping = ShippingThread(outbox, broker, fatal_wait_s=0.01)
    shipping.start()
    wait_until(lambda: outbox.stored_batches() == 0)
    shipping.finish()
    assert broker.taken == bodies
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said.getMessage().startswith("counting goes on")


def test_while_nothing_can_be_shipped_the_outage_grows_and_the_outbox_keeps_all(outbox: Outbox) -> None:
    store(outbox, 2)
    broker = Broker(Fatal("no right to write"))
    shipping = ShippingThread(outbox, broker)
    shipping.start()
    wait_until(lambda: shipping.outage_s() > 0)
    assert outbox.stored_batches() == 2
    shipping.finish()
    assert broker.taken, "the end is one more try, however long the wait would have been"


def test_in_the_end_what_was_stored_last_is_shipped_too(outbox: Outbox) -> None:
    broker = Broker()
    shipping = ShippingThread(outbox, broker)
    shipping.start()
    bodies = store(outbox, 300)
    shipping.finish()
    assert broker.taken == bodies


def test_a_broker_that_does_not_answer_holds_up_the_end_no_longer_than_said(outbox: Outbox) -> None:
    store(outbox, 1)
    broker = Broker(stuck=True)
    shipping = ShippingThread(outbox, broker)
    shipping.start()
    assert broker.asked.wait(PATIENCE_S)
    before = time.monotonic()
    shipping.finish(patience_s=0.05)
    assert time.monotonic() - before < 1.0
    assert outbox.stored_batches() == 1


def test_what_waits_for_a_broker_that_is_away_stays_for_the_next_agent(outbox: Outbox) -> None:
    store(outbox, 1)
    shipping = ShippingThread(outbox, Broker(*[Retry("away")] * 5))
    shipping.start()
    shipping.finish()
    assert outbox.stored_batches() == 1


def test_what_was_stored_is_shipped_as_soon_as_that_is_said(outbox: Outbox) -> None:
    broker = Broker()
    shipping = ShippingThread(outbox, broker)
    shipping.start()
    time.sleep(0.05)  # it has looked once, and found nothing
    bodies = store(outbox, 1)
    began_s = time.monotonic()
    shipping.stored()
    wait_until(lambda: broker.taken == bodies)
    assert time.monotonic() - began_s < IDLE_S / 2
    shipping.finish()
