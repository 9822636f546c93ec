from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.sources.memory import MemoryBroker
from tests.collector.sources.contract import GroupContract, SourceContract, by_agent
from wire.seal import Sealed

if TYPE_CHECKING:
    from collector.sources.interface import Message, Source


def batch(agent: int, number: int) -> Sealed:
    body = f"{agent} {number}".encode()
    return Sealed(body, hashlib.sha256(body).digest(), f"agent-{agent}", b"signature")


class MemoryRig:
    most_agents = 1000

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()
        self._numbers: dict[int, int] = {}

    def send(self, agent: int, count: int) -> list[bytes]:
        first = self._numbers.get(agent, 0)
        self._numbers[agent] = first + count
        batches = [batch(agent, first + i) for i in range(count)]
        assert self.broker.send(batches) == count
        return [sealed.body for sealed in batches]

    def open(self) -> Source:
        return self.broker.source()


@pytest.fixture
def rig() -> MemoryRig:
    return MemoryRig()


class TestMemorySource(SourceContract, GroupContract):
    pass


def test_a_full_broker_takes_what_fits_and_more_once_some_is_recorded() -> None:
    broker = MemoryBroker(partitions=2, max_messages=5)
    batches = [batch(0, number) for number in range(8)]
    assert broker.send(batches) == 5
    assert broker.send(batches[5:]) == 0
    source = broker.source()
    source.commit(source.poll(2, 0))
    assert broker.send(batches[5:]) == 2
    assert [m.body for m in source.poll(10, 0)] == [sealed.body for sealed in batches[2:7]]


def test_a_sender_that_closes_leaves_the_broker_as_it_is() -> None:
    broker = MemoryBroker()
    broker.send([batch(0, 0)])
    broker.close()
    assert len(broker.source().poll(10, 0)) == 1


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 3)),
        st.tuples(st.just("open"), st.just(0)),
        st.tuples(st.just("poll"), st.integers(0, 2)),
        st.tuples(st.just("commit"), st.integers(0, 2)),
        st.tuples(st.just("close"), st.integers(0, 2)),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_whatever_members_do_every_batch_is_recorded_and_in_its_agents_order(actions: list[tuple[str, int]]) -> None:
    rig = MemoryRig(MemoryBroker(partitions=3))
    sent: dict[bytes, list[bytes]] = {}
    sources: list[Source] = []
    held: dict[Source, list[Message]] = {}
    recorded: list[Message] = []
    for action, number in actions:
        if action == "send":
            sent.setdefault(f"agent-{number}".encode(), []).extend(rig.send(number, 2))
        elif action == "open":
            sources.append(rig.open())
        elif sources:
            source = sources[number % len(sources)]
            if action == "poll":
                held.setdefault(source, []).extend(source.poll(3, 0))
            elif action == "commit":
                recorded += held.get(source, [])
                source.commit(held.pop(source, []))
            else:
                sources.remove(source)
                source.close()
    for source in sources:
        source.close()
    last = rig.open()
    while messages := last.poll(5, 0):
        recorded += messages
        last.commit(messages)
    assert by_agent(recorded) == sent
