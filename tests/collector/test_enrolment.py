"""Whose batches count: open and approved, a file of keys, revocations with a date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collector.enrolment import REFRESH_NS, Enrolment, read_keys
from collector.errors import Fatal
from collector.main import Collector
from ledger.agents import APPROVED, FIRST_USE, enrolled, revoked
from ledger.errors import Retry as LedgerRetry
from tests.collector.rig import Failing, Rig
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.store import Store
    from tests.ledger.engine import Clock

SECOND_NS = 10**9


@pytest.fixture
def rig(store: Store, clock: Clock) -> Rig:
    return Rig(store, clock)


def approving(rig: Rig, clock: Clock, keys_file: Path | None = None) -> None:
    enrolment = Enrolment(rig.ledger, clock, "collector", "approved", keys_file)
    rig.collector = Collector(rig.source, rig.ledger, rig.quarantine, rig.told.extend, clock, enrolment=enrolment)


def reasons(rig: Rig) -> list[str]:
    return [reason for _, reason in rig.quarantine.messages]


def roll(rig: Rig) -> list[Any]:
    return rig.asked("SELECT agent, enrolment, cluster, node FROM agents ORDER BY entry_index")


def test_only_approved_keys_count_and_what_is_not_waits_in_quarantine(rig: Rig, clock: Clock) -> None:
    known, unknown = Chain(0), Chain(1)
    rig.ledger.append([enrolled(known.agent, APPROVED, "me")])
    approving(rig, clock)
    rig.send(unknown.seal(meter(7)), known.seal(meter(5)))
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert reasons(rig) == [
        f"key_id: {unknown.agent} is not approved: flopledger collector agents approve {unknown.agent}"
    ]
    assert roll(rig) == [(known.agent, APPROVED, "", "")]


def test_a_key_that_was_trusted_on_first_use_is_not_approved_by_that(rig: Rig, clock: Clock) -> None:
    chain = Chain()
    rig.send(chain.seal(meter(5)))
    rig.drain()
    assert roll(rig) == [(chain.agent, FIRST_USE, "c", chain.node)]
    approving(rig, clock)
    rig.send(chain.seal(meter(6)))
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert len(reasons(rig)) == 1


def test_an_approval_counts_a_second_later_at_the_latest(rig: Rig, clock: Clock) -> None:
    chain = Chain()
    approving(rig, clock)
    rig.send(chain.seal(meter(5)))
    rig.drain()
    rig.ledger.append([enrolled(chain.agent, APPROVED, "me")])
    clock.now_ns += SECOND_NS
    rig.send(chain.seal(meter(6)))
    rig.drain()
    assert rig.flop() == {"r": 6}


@pytest.mark.parametrize(("field", "place"), [("node", "node-7"), ("cluster", "elsewhere")])
def test_a_key_that_was_approved_for_one_place_counts_at_no_other(
    rig: Rig, clock: Clock, field: str, place: str
) -> None:
    chain = Chain()
    rig.ledger.append([enrolled(chain.agent, APPROVED, "me", **{field: place})])
    approving(rig, clock)
    rig.send(chain.seal(meter(5)), chain.seal(meter(6), **{field: place}))
    rig.drain()
    assert rig.flop() == {"r": 6}
    (reason,) = reasons(rig)
    assert reason.startswith(f"{field}: ")
    assert place in reason


def test_keys_in_a_file_are_approved_and_put_on_record_when_they_are_used(
    rig: Rig, clock: Clock, tmp_path: Path
) -> None:
    anywhere, bound, later = Chain(0), Chain(1), Chain(2)
    keys = tmp_path / "keys"
    keys.write_text(f"# ours\n{anywhere.agent}\n\n{bound.agent} node-1 # rack 7\n")
    approving(rig, clock, keys)
    rig.send(*(chain.seal(meter(5)) for chain in (anywhere, bound, later)))
    rig.drain()
    assert rig.flop() == {"r": 10}
    assert roll(rig) == [(anywhere.agent, APPROVED, "", ""), (bound.agent, APPROVED, "", "node-1")]
    with keys.open("a") as file:
        file.write(later.agent)
    clock.now_ns += REFRESH_NS
    rig.send(later.seal(meter(6)), bound.seal(meter(8), node="node-2"))
    rig.drain()
    assert rig.flop() == {"r": 16}
    assert len(reasons(rig)) == 2


@pytest.mark.parametrize("text", ["not-a-key\n", f"{Chain().agent} a b\n", "\udce4"])
def test_a_file_that_makes_no_sense_stops_the_start_and_later_changes_nothing(
    rig: Rig, clock: Clock, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = tmp_path / "keys"
    keys.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Fatal, match="FLOPLEDGER_AGENT_KEYS_FILE"):
        read_keys(keys)
    chain = Chain()
    keys.write_text(chain.agent)
    approving(rig, clock, keys)
    keys.unlink()
    clock.now_ns += REFRESH_NS
    rig.send(chain.seal(meter(5)))
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize("rule", ["open", "approved"])
def test_a_revoked_key_counts_for_what_it_sealed_before(rig: Rig, clock: Clock, rule: str) -> None:
    chain = Chain()
    since = NOW_NS + 60 * SECOND_NS
    rig.ledger.append([enrolled(chain.agent, APPROVED, "me"), revoked(chain.agent, since, "stolen", "me")])
    if rule == "approved":
        approving(rig, clock)
    else:
        rig.source.close()
        rig.restart()
    clock.now_ns = since + SECOND_NS
    rig.send(*(chain.seal(meter(n), sealed_at_ns=since + after) for n, after in ((5, -1), (6, 0), (7, 10**9))))
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert [reason.startswith(f"key_id: {chain.agent} is revoked from ") for reason in reasons(rig)] == [True] * 2
    assert all("(stolen), sealed_at is " in reason for reason in reasons(rig))


def test_a_revocation_is_heard_of_while_the_collector_runs(rig: Rig, clock: Clock) -> None:
    chain = Chain()
    rig.send(chain.seal(meter(5)))
    rig.drain()
    rig.ledger.append([revoked(chain.agent, NOW_NS, "stolen", "me")])
    clock.now_ns += REFRESH_NS
    rig.send(chain.seal(meter(6)))
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert rig.asked("SELECT kind, counted, seq, detail FROM findings") == [
        ("revoked", 1, 0, "sealed_at is not before the revocation of its key: stolen")
    ], "what was counted before stays, and is raised"


def test_what_is_not_counted_stands_in_findings_with_its_field(rig: Rig, clock: Clock) -> None:
    rig.send(Chain().seal(meter(5), sealed_at_ns=NOW_NS + HOUR_NS), Chain(1).seal(meter(3)))
    rig.drain()
    (found,) = rig.asked("SELECT kind, counted, node, detail, source_offset FROM findings")
    assert found == ("future", 0, "node-0", "sealed_at is 3600 s ahead of ours", 0)


def test_a_key_whose_enrolment_could_not_be_written_is_enrolled_later(rig: Rig) -> None:
    chain = Chain()
    rig.send(chain.seal(meter(5)))
    rig.collector = rig.over(Failing(rig.ledger, "request", LedgerRetry("disk full")))
    with pytest.raises(LedgerRetry):
        rig.drain()
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert roll(rig) == [(chain.agent, FIRST_USE, "c", chain.node)]
