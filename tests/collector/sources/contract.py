"""What every source promises, as tests: subclass `SourceContract` and give it a fixture `rig`.

A rig puts batches in at one end and opens sources at the other. Sources that share the work of one group take
`GroupContract` as well.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from collector.sources.interface import Message, Source

PATIENCE_S = 30.0


class Rig(Protocol):
    """One topic, or whatever the source reads, that only one test uses."""

    most_agents: int
    """How many agents can be behind it: 1 for an agent's own outbox."""

    def send(self, agent: int, count: int) -> list[bytes]:
        """Put in `count` new batches of that agent; returns their bodies in order."""
        ...

    def open(self) -> Source:
        """A source that reads from where the one before it committed, or with those that are open."""
        ...


def take(source: Source, count: int, max_messages: int = 1000) -> list[Message]:
    """Poll until `count` messages are there, and no longer than patience lasts."""
    taken: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(taken) < count and time.monotonic() < deadline:
        taken += source.poll(max_messages, 1.0)
    assert len(taken) >= count, f"{len(taken)} of {count} messages came"
    return taken


def bodies(messages: Iterable[Message]) -> list[bytes]:
    return [message.body for message in messages]


def by_agent(messages: Iterable[Message]) -> dict[bytes, list[bytes]]:
    """Bodies per agent, in the order in which they came first: what comes again is left out."""
    found: dict[bytes, dict[bytes, None]] = defaultdict(dict)
    for message in messages:
        found[dict(message.headers)["key_id"]].setdefault(message.body)
    return {agent: list(seen) for agent, seen in found.items()}


def send_many(rig: Rig, agents: int, rounds: int, each: int) -> dict[int, list[bytes]]:
    sent: dict[int, list[bytes]] = defaultdict(list)
    for _ in range(rounds):
        for agent in range(agents):
            sent[agent] += rig.send(agent, each)
    return sent


class SourceContract:
    def test_hands_out_every_message_once_and_unchanged(self, rig: Rig) -> None:
        sent = rig.send(0, 20)
        source = rig.open()
        messages = take(source, 20)
        assert bodies(messages) == sent
        assert all({"schema", "key_id", "sha256", "signature"} <= dict(m.headers).keys() for m in messages)
        assert not source.poll(10, 0.2)
        source.close()

    def test_keeps_the_order_of_each_of_many_agents(self, rig: Rig) -> None:
        sent = send_many(rig, agents=min(rig.most_agents, 30), rounds=3, each=4)
        source = rig.open()
        messages = take(source, sum(map(len, sent.values())), max_messages=7)
        assert sorted(by_agent(messages).values()) == sorted(sent.values())
        source.close()

    def test_never_hands_out_more_than_was_asked_for(self, rig: Rig) -> None:
        rig.send(0, 10)
        source = rig.open()
        first = take(source, 1, max_messages=3)
        assert len(first) <= 3
        assert len(source.poll(1, 1.0)) == 1
        source.close()

    def test_names_each_message_by_where_it_was_found(self, rig: Rig) -> None:
        sent = send_many(rig, agents=min(rig.most_agents, 8), rounds=2, each=3)
        source = rig.open()
        messages = take(source, sum(map(len, sent.values())))
        offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
        for message in messages:
            offsets[message.topic, message.partition].append(message.offset)
        assert all(found == sorted(set(found)) for found in offsets.values())
        source.close()

    def test_what_was_committed_does_not_come_again(self, rig: Rig) -> None:
        rig.send(0, 10)
        source = rig.open()
        source.commit(take(source, 10))
        source.close()
        later = rig.send(0, 5)
        again = rig.open()
        assert bodies(take(again, 5)) == later
        again.close()

    def test_what_was_not_committed_comes_again_after_close(self, rig: Rig) -> None:
        sent = rig.send(0, 10)
        source = rig.open()
        take(source, 10)
        source.close()
        again = rig.open()
        assert bodies(take(again, 10)) == sent
        again.close()

    def test_a_commit_of_the_first_few_leaves_the_others_to_come_again(self, rig: Rig) -> None:
        sent = rig.send(0, 10)
        source = rig.open()
        source.commit(take(source, 10)[:4])
        source.close()
        again = rig.open()
        assert bodies(take(again, 6)) == sent[4:]
        again.close()

    def test_several_polls_can_be_committed_one_after_the_other(self, rig: Rig) -> None:
        sent = send_many(rig, agents=min(rig.most_agents, 5), rounds=1, each=6)
        total = sum(map(len, sent.values()))
        source = rig.open()
        polls: list[Sequence[Message]] = []
        while sum(map(len, polls)) < total:
            polls.append(take(source, 1, max_messages=4))
        for poll in polls[:-1]:
            source.commit(poll)
        source.close()
        again = rig.open()
        assert set(bodies(take(again, len(polls[-1])))) == set(bodies(polls[-1]))
        again.close()

    def test_committing_again_what_is_committed_takes_nothing_back(self, rig: Rig) -> None:
        sent = rig.send(0, 6)
        source = rig.open()
        messages = take(source, 6)
        source.commit(messages[:4])
        source.commit(messages[:2])
        source.commit([])
        source.close()
        again = rig.open()
        assert bodies(take(again, 2)) == sent[4:]
        again.close()

    def test_an_empty_poll_ends_when_it_was_told_to(self, rig: Rig) -> None:
        rig.send(0, 1)
        source = rig.open()
        take(source, 1)
        began = time.monotonic()
        assert not source.poll(10, 0.3)
        assert 0.2 < time.monotonic() - began < 3.0
        source.close()

    def test_a_poll_ends_early_when_something_arrives(self, rig: Rig) -> None:
        rig.send(0, 1)
        source = rig.open()
        take(source, 1)
        sender = threading.Timer(0.2, rig.send, (0, 1))
        sender.start()
        began = time.monotonic()
        assert len(source.poll(10, PATIENCE_S)) == 1
        assert time.monotonic() - began < PATIENCE_S / 2
        sender.join()
        source.close()

    def test_while_paused_it_hands_out_nothing_and_afterwards_all(self, rig: Rig) -> None:
        sent = rig.send(0, 3)
        source = rig.open()
        source.commit(take(source, 3))
        source.pause()
        sent += rig.send(0, 4)
        assert not any(source.poll(10, 0.2) for _ in range(3))
        owned = source.owned()
        source.resume()
        assert bodies(take(source, 4)) == sent[3:]
        assert source.owned() == owned, "pausing gives nothing away"
        source.close()

    def test_what_was_taken_before_a_pause_can_be_committed_in_it(self, rig: Rig) -> None:
        rig.send(0, 3)
        source = rig.open()
        held = take(source, 3)
        source.pause()
        source.commit(held)
        source.close()
        later = rig.send(0, 1)
        again = rig.open()
        assert bodies(take(again, 1)) == later
        again.close()

    def test_to_resume_without_a_pause_changes_nothing(self, rig: Rig) -> None:
        sent = rig.send(0, 2)
        source = rig.open()
        source.resume()
        assert bodies(take(source, 2)) == sent
        source.close()

    def test_it_owns_what_it_hands_out_of_and_says_how_much_is_left(self, rig: Rig) -> None:
        rig.send(0, 3)
        source = rig.open()
        held = take(source, 3)
        assert {message.partition for message in held} <= source.owned()
        assert source.lag().messages in {None, 3}
        source.commit(held)
        source.poll(1, 0.2)
        assert source.lag().messages in {None, 0}
        source.close()

    def test_close_may_be_called_twice(self, rig: Rig) -> None:
        source = rig.open()
        source.close()
        source.close()


class Member(threading.Thread):
    """Polls a source all the time, as a collector does: the members of a group wait for one another."""

    def __init__(self, source: Source) -> None:
        super().__init__(daemon=True)
        self.source = source
        self.got: list[Message] = []
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            self.got += self.source.poll(100, 0.2)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join(PATIENCE_S)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class GroupContract:
    """For sources that share out the partitions of one group."""

    def test_two_members_hand_out_everything_between_them(self, rig: Rig) -> None:
        sent: dict[int, list[bytes]] = defaultdict(list)
        with Member(rig.open()) as one, Member(rig.open()) as two:

            def both_have_some() -> bool:
                for agent in range(16):
                    sent[agent] += rig.send(agent, 1)
                return bool(one.got and two.got)

            wait_until(both_have_some)
            wait_until(lambda: len({*bodies(one.got), *bodies(two.got)}) == sum(map(len, sent.values())))
        assert sorted(by_agent(one.got + two.got).values()) == sorted(sent.values())
        one.source.close()
        two.source.close()

    def test_what_a_member_did_not_commit_comes_again_at_the_one_that_takes_over(self, rig: Rig) -> None:
        sent = send_many(rig, agents=16, rounds=1, each=2)
        total = sum(map(len, sent.values()))
        leaver = rig.open()
        take(leaver, total)
        leaver.close()
        heir = rig.open()
        assert sorted(by_agent(take(heir, total)).values()) == sorted(sent.values())
        heir.close()

    def test_each_partition_has_one_owner_and_all_have_one(self, rig: Rig) -> None:
        rig.send(0, 1)
        with Member(rig.open()) as first:
            wait_until(lambda: bool(first.source.owned()))
            everything = first.source.owned()
            with Member(rig.open()) as second:
                wait_until(lambda: bool(second.source.owned()) and not first.source.owned() & second.source.owned())
                wait_until(lambda: first.source.owned() | second.source.owned() == everything)
            second.source.close()
            wait_until(lambda: first.source.owned() == everything)
        first.source.close()
        assert not first.source.owned()

    def test_a_partition_handed_over_while_its_messages_are_recorded_comes_again_whole(self, rig: Rig) -> None:
        sent = send_many(rig, agents=16, rounds=1, each=2)
        slow = rig.open()
        held = take(slow, sum(map(len, sent.values())))
        slow.pause()
        with Member(slow), Member(rig.open()) as heir:
            wait_until(lambda: bool(heir.got))
            given, kept = heir.source.owned(), slow.owned()
        slow.commit(held)
        theirs = {message.body for message in held if message.partition in given}
        assert {message.body for message in heir.got} >= theirs or not kept
        heir.source.close()
        slow.close()
        third = rig.open()
        # What the slow one kept is committed; what went over was not committed by anybody.
        again = set(bodies(take(third, len(theirs))))
        assert theirs <= again
        third.close()

    def test_a_commit_for_what_was_taken_away_does_no_harm(self, rig: Rig) -> None:
        sent = send_many(rig, agents=16, rounds=1, each=2)
        total = sum(map(len, sent.values()))
        first = rig.open()
        held = take(first, total)
        with Member(first), Member(rig.open()) as second:
            wait_until(lambda: bool(second.got))
        first.commit(held)
        second.source.close()
        first.close()
        # What the second has in hand was not recorded by it, and the first could not speak for it any more.
        third = rig.open()
        again = bodies(take(third, len(set(bodies(second.got)))))
        assert set(bodies(second.got)) <= set(again)
        third.close()
