"""What agents name of their runs ends on record, behind whatever people say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.declarations import Declaration
from ledger.declare import Wanted, declare
from ledger.journal import Journal
from ledger.ledger import Ledger
from ledger.proof.journal import check_journal
from tests.agent.devices.simulated.fleets import HOUR_NS, World, run, scenario
from tests.agent.nodes import Node
from tests.collector.rig import Killed, Rig
from tests.ledger.chains import NOW_NS, Chain, meter
from tests.ledger.engine import LEDGER_KEY
from wire.batch import Event

if TYPE_CHECKING:
    from ledger.store import Store
    from tests.ledger.engine import Clock
    from wire.seal import Sealed


class Unwilling:
    """A ledger whose holder is killed when a declaration is to be written."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def request(self, statements: Any) -> None:
        if any(statement.kind == "run" for statement in statements):
            raise Killed
        self._ledger.request(statements)


@pytest.fixture
def rig(store: Store, clock: Clock) -> Rig:
    return Rig(store, clock)


def labelled(chain: Chain, run_id: str = "r", /, **detail: str | int | None) -> Sealed:
    event = Event("run", NOW_NS, run=run_id, detail={"source": "environment", **detail})
    return chain.seal(meter(5, run=run_id), events=(event,))


def runs(rig: Rig) -> list[Any]:
    return rig.asked("SELECT run_id, model_id, purpose, dtype FROM runs ORDER BY run_id")


def entries(rig: Rig) -> list[Any]:
    return rig.asked(
        "SELECT JSONExtractString(body, 'author'), JSONExtractRaw(body, 'data') FROM journal WHERE kind = 'run' "
        "ORDER BY entry_index"
    )


def test_a_model_in_the_environment_of_a_process_ends_in_runs_and_model_totals(rig: Rig) -> None:
    rig.ledger.publish_catalogue()
    node = Node(World(scenario(run(until_ns=4 * HOUR_NS), run("b", from_ns=5 * HOUR_NS, model_id="other"))))
    for hour in range(11):
        node.look_and_seal(hour)
    declare(rig.ledger, Wanted(runs={"b": {"model_id": "ours", "planned_flop": 10**24}}), "me")
    rig.send(*(sealed for _, sealed in node.outbox.pending(-1, 1_000)))
    rig.drain()
    assert runs(rig) == [("a", "model", "", "bf16"), ("b", "ours", "", "bf16")]
    measured = rig.flop()
    totals = rig.asked("SELECT DISTINCT model_id, flop FROM model_totals WHERE basis = 'hardware' ORDER BY 1")
    assert totals == [("model", measured["a"]), ("ours", measured["b"])]
    assert check_journal(rig.ledger).findings == []


def test_a_name_is_written_once_over_other_agents_replays_and_restarts(rig: Rig) -> None:
    chains = [Chain(0), Chain(1)]
    rig.send(*(labelled(chain, model="m") for chain in chains))
    rig.drain()
    rig.source.close()
    rig.restart()
    rig.send(labelled(chains[1], model="m"))
    rig.drain()
    assert entries(rig) == [(f"agent:{chains[0].agent}", '{"run_id":"r","model_id":"m","source":"environment"}')]


def test_killed_before_the_name_was_on_record_it_comes_with_the_batch_again(rig: Rig) -> None:
    rig.send(labelled(Chain(), model="m"))
    rig.collector = rig.over(Unwilling(rig.ledger))
    with pytest.raises(Killed):
        rig.drain()
    assert (rig.flop(), runs(rig)) == ({"r": 5}, [("r", "", "", "")])
    rig.source.close()
    rig.restart()
    rig.drain()
    assert runs(rig) == [("r", "m", "", "")]


def test_what_people_say_holds_before_and_after_and_only_what_they_leave_open_is_filled(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.ledger.append([Declaration("r", model_id="ours", planned_flop=7).statement("me")])
    chain = Chain()
    rig.send(labelled(chain, model="m", dtype="bf16"))
    rig.drain()
    assert runs(rig) == [("r", "ours", "", "bf16")]
    assert rig.asked("SELECT toString(planned_flop) FROM runs") == ["7"]
    assert len(entries(rig)) == 2
    assert "model_id of run 'r' stays 'ours', and 'm' of agent" in caplog.text
    rig.send(labelled(chain, "s", model="m"))
    rig.drain()
    rig.ledger.append([Declaration("s", model_id="corrected", dtype="fp8").statement("me")])
    assert runs(rig) == [("r", "ours", "", "bf16"), ("s", "corrected", "", "fp8")]


def test_a_later_different_name_changes_nothing_and_is_said_once(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    chains = [Chain(0), Chain(1)]
    rig.send(labelled(chains[0], model="m"), labelled(chains[1], model="n"))
    rig.drain()
    rig.send(labelled(chains[1], model="n"))
    rig.drain()
    assert runs(rig) == [("r", "m", "", "")]
    assert len(entries(rig)) == 1
    assert caplog.text.count(f"stays 'm', and 'n' of agent {chains[1].agent} is not taken") == 1


def test_batches_that_do_not_count_name_nothing(rig: Rig) -> None:
    event = Event("run", NOW_NS, run="r", detail={"model": "m"})
    rig.send(Chain().seal(meter(5), events=(event,), sealed_at_ns=NOW_NS + 10**13))
    rig.drain()
    assert entries(rig) == []


@pytest.mark.parametrize(
    "detail",
    [{"model": ""}, {"model": 7}, {"model": None}, {"model": "m" * 513}, {"dtype": "fp7"}, {"purpose": "evaluation"}],
)
def test_what_makes_no_sense_or_rests_with_the_readings_is_left(rig: Rig, detail: dict[str, str | int | None]) -> None:
    rig.send(labelled(Chain(), **detail))
    rig.drain()
    assert (rig.flop(), entries(rig)) == ({"r": 5}, [])
    rig.send(labelled(Chain(1), "unattributed", model="m"))
    rig.drain()
    assert entries(rig) == []


def test_a_collector_that_does_not_write_the_journal_asks_for_it(store: Store, clock: Clock, rig: Rig) -> None:
    other = Ledger(store, Journal(store, LEDGER_KEY, clock), clock, is_writer=lambda: False)
    rig.collector = rig.over(other)
    rig.send(labelled(Chain(), model="m"))
    rig.drain()
    assert entries(rig) == []
    asked = rig.asked("SELECT id, author FROM journal_requests WHERE kind = 'run'")
    assert asked == [("model_id of run r by its agents", f"agent:{Chain().agent}")]
