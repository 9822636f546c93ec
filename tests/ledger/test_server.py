"""A ledger on a server: several record, one writes the journal, the others ask it to."""

from __future__ import annotations

import json
import logging
import re
import threading
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli.exits import Misconfigured
from ledger.access import AtServer, connect
from ledger.agents import FIRST_USE, enrolled
from ledger.declarations import Declaration, declared
from ledger.errors import Damaged, Fatal, Refused, Retry
from ledger.journal import Journal, Statement
from ledger.ledger import Ledger
from ledger.migrate import migrate
from ledger.place import Server, server
from ledger.proof.checkpoint import read
from ledger.requests import Requests
from ledger.store import Store
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import LEDGER_KEY, Clock
from tests.services.clickhouse.service import ClickHouseService
from tests.services.kafka.certificates import Authority
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.clickhouse.service import GivenClickHouse


@pytest.fixture(scope="module")
def place(clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Server:
    key_file = tmp_path_factory.mktemp("keys") / "ledger.key"
    load_or_create_key(key_file)
    return server(clickhouse_url, key_file)


@pytest.fixture(scope="module")
def engine(place: Server) -> Iterator[Store]:
    store = Store.server(place)
    migrate(store)
    yield store
    store.close()


def journal(store: Store) -> Journal:
    return Journal(store, LEDGER_KEY, Clock())


def collector(store: Store, *, writer: bool) -> Ledger:
    return Ledger(store, journal(store), Clock(), is_writer=lambda: writer)


def note(n: int, request: str = "") -> Statement:
    return Statement("note", "me", {"n": n}, request=request)


def written(store: Store) -> list[tuple[int, str, int]]:
    """Index, request and content of every entry, in order."""
    rows = store.query("SELECT entry_index, request, JSONExtractUInt(body, 'data', 'n') FROM journal ORDER BY 1").rows
    return [(index, request, n) for index, request, n in rows]


def test_of_two_who_write_behind_the_same_entry_the_first_is_in_and_the_other_notices(store: Store) -> None:
    class Overtaken:
        """A store behind whose back somebody else writes, just before an insert."""

        shared = True
        query = staticmethod(store.query)

        def insert(self, *given: Any, **options: Any) -> None:
            overtake()
            store.insert(*given, **options)

    def overtake() -> None:
        if len(written(store)) == 1:
            journal(store).append([note(2), note(3)])

    journal(store).append([note(1)])
    late = journal(Overtaken())  # type: ignore[arg-type]
    with pytest.raises(Retry, match="somebody else wrote entry 1 of the journal at the same time"):
        late.append([note(4)])
    assert late.append([note(4)]) == [3]
    assert written(store) == [(0, "", 1), (1, "", 2), (2, "", 3), (3, "", 4)]
    journal(store)


def test_entries_that_are_there_twice_all_the_same_stop_whoever_writes(store: Store) -> None:
    kept = journal(store)
    kept.append([note(1)])
    store.command(
        "INSERT INTO journal SELECT * FROM journal SETTINGS insert_deduplicate = 0, deduplicate_insert = 'disable'"
    )
    with pytest.raises(Damaged, match="some are missing or doubled"):
        kept.append([note(2)])


def test_a_writer_that_was_away_goes_on_from_the_head_that_is_there(store: Store) -> None:
    one, other = journal(store), journal(store)
    assert [one.append([note(0)]), other.append([note(1)]), one.append([note(2)])] == [[0], [1], [2]]


def test_a_request_is_signed_once_however_often_it_is_put_and_by_whomever(store: Store) -> None:
    requests = Requests(store)
    requests.put([note(1, "first"), note(2, "second")])
    requests.put([note(9, "first")])
    writers = [collector(store, writer=True) for _ in range(2)]
    waiting = requests.waiting()
    for writer in writers:
        writer.answer_requests()
    journal(store).append(waiting)
    assert written(store) == [(0, "first", 1), (1, "second", 2)]
    assert requests.wait(["second", "first"], patience_s=0) == [1, 0]


def test_who_asked_is_on_record_beside_who_they_say_they_are(store: Store) -> None:
    Requests(store).put([note(1, "asked")])
    collector(store, writer=True).answer_requests()
    ((body,),) = store.query("SELECT body FROM journal").rows
    entry = json.loads(body)
    assert (entry["author"], entry["user"], entry["request"]) == ("me", "default", "asked")


def test_what_makes_no_sense_is_said_once_and_holds_nothing_up(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for identity, kind, data in (("a", "note", "not json"), ("b", "note", "[1]"), ("c", "alert", "{}")):
        store.command(
            f"INSERT INTO journal_requests (id, kind, author, data) VALUES ('{identity}', '{kind}', 'x', '{data}')"
        )
    requests = Requests(store)
    requests.put([note(1, "sound")])
    with caplog.at_level(logging.ERROR):
        assert [statement.request for statement in requests.waiting()] == ["sound"]
        assert len(requests.waiting()) == 1
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        f"request {identity} of default for a {kind} in the journal is not signed"
        for identity, kind in (("a", "note"), ("b", "note"), ("c", "alert"))
    ]


def test_what_nobody_signs_is_said_after_a_while_and_stays(store: Store) -> None:
    requests = Requests(store, pause=lambda _: None)
    asked = requests.put([note(1)])
    with pytest.raises(Retry, match="the collector that owns partition 0 of the topic, and none is at work"):
        requests.wait(asked, patience_s=0)
    collector(store, writer=True).answer_requests()
    assert requests.wait(asked, patience_s=0) == [0]


def test_a_command_declares_through_the_writer_and_reads_it_back(store: Store, place: Server) -> None:
    stop = threading.Event()

    def write() -> None:
        writer = collector(store, writer=True)
        while not stop.wait(0.05):
            writer.answer_requests()

    working = threading.Thread(target=write)
    working.start()
    try:
        with connect(place, Clock()) as there:
            assert isinstance(there, AtServer)
            full = Declaration("asked for", "m", "fine-tuning", "fp8", 10**30, "2026-12-24T18:30:00Z", 8)
            assert there.append([full.statement("me"), Declaration("r").statement("me")]) == [0, 1]
            assert declared(there, "asked for") == full
            assert there.query_arrow("SELECT 1 AS n").to_pylist() == [{"n": 1}]
            assert there.checkpoint("me") == 2
            assert (read(there, 2).author, read(there, 2).size) == ("me", 2)
    finally:
        stop.set()
        working.join()


def test_a_collector_that_does_not_write_records_at_once_and_has_agents_enrolled(store: Store) -> None:
    reading, writing = collector(store, writer=False), collector(store, writer=True)
    chain = Chain(1)
    for ledger in (reading, writing, collector(store, writer=False)):
        ledger.request([replace(enrolled(chain.agent, FIRST_USE, "collector", "c", "node-1"), request="first use")])
        take(ledger, [chain.seal(meter(6 * 10**24))])
    assert reading.query("SELECT flop FROM run_totals").rows == [(6 * 10**24,)]
    writing.answer_requests()
    assert store.query("SELECT agent FROM agents").rows == [(chain.agent,)]
    assert reading.query("SELECT uniqExact(request) FROM journal WHERE kind = 'agent'").rows == [(1,)]


def test_an_alert_is_raised_once_by_whoever_writes(store: Store) -> None:
    writers = [collector(store, writer=True) for _ in range(2)]
    take(writers[0], [Chain().seal(meter(6 * 10**24))])
    assert writers[0].raise_alerts("collector")
    assert writers[1].raise_alerts("collector") == []


def test_every_collector_needs_the_same_key(store: Store, place: Server, tmp_path: Path) -> None:
    journal(store).append([note(1)])
    with pytest.raises(Damaged, match="signed with another key"):
        Ledger.open(place, Clock())
    missing = Server(place.scheme, place.host, place.port, place.database, tmp_path / "none.key")
    with pytest.raises(Refused, match=r"none.key does not exist: all collectors of one ledger sign with the same key"):
        Ledger.open(missing, Clock())


def test_a_server_without_our_tables_is_refused_with_what_to_do(clickhouse: GivenClickHouse, place: Server) -> None:
    bare = server(clickhouse.make_database("bare_of_tables"), place.key_file)
    with (
        pytest.raises(Refused, match=r"lack migration 1, .*: run `flopledger ledger migrate` first"),
        connect(bare, Clock()),
    ):
        pass


def test_a_server_that_does_not_answer_is_tried_later(tmp_path: Path) -> None:
    with pytest.raises(Retry, match=r"the ClickHouse server http://127\.0\.0\.1:1 does not answer") as caught:
        Store.server(server("http://127.0.0.1:1/flop", tmp_path / "ledger.key"))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("says", "why"),
    [
        ("24.8.4.13", "runs ClickHouse 24.8.4.13, which is too old: 25.8 or newer is needed"),
        ("18.16.1", "runs ClickHouse 18.16.1, which is too old"),
        ("<html>hello</html>", "is no ClickHouse server: asked for its version, it says '<html>"),
    ],
)
def test_a_server_of_another_kind_or_age_is_refused(tmp_path: Path, says: str, why: str) -> None:
    class Old(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(says.encode())

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Old) as old:
        answering = threading.Thread(target=old.handle_request)
        answering.start()
        with pytest.raises(Fatal, match=why) as caught:
            Store.server(server(f"http://127.0.0.1:{old.server_port}/flop", tmp_path / "ledger.key"))
        answering.join()
    assert caught.value.exit_code == 2


def test_a_password_and_a_certificate_are_needed_where_they_are_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    password, wrong = tmp_path / "password", tmp_path / "wrong"
    password.write_text("secret\n")
    wrong.write_text("guess")
    with ClickHouseService(tmp_path / "engine", "alice:secret", authority.issue("server")) as service:
        key_file = tmp_path / "ledger.key"
        with closing(Store.server(server(service.url, key_file, "alice", password, authority.cert))) as store:
            assert store.query("SELECT 1").rows == [(1,)]
        with pytest.raises(Refused, match="does not let 'alice' in"):
            Store.server(server(service.url, key_file, "alice", wrong, authority.cert))
        with pytest.raises(Retry, match="certificate verify failed"):
            Store.server(server(service.url, key_file, "alice", password))
        with pytest.raises(Refused, match=r"PASSWORD_FILE .*nowhere cannot be read"):
            Store.server(server(service.url, key_file, "alice", tmp_path / "nowhere", authority.cert))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("tcp://host:9000/flop", r"write http\(s\)://host:port/database"),
        ("http://", r"write http\(s\)://host:port/database"),
        ("http://host:x/flop", r"write http\(s\)://host:port/database"),
        ("http://me:secret@host/flop", "holds a name or a password: put them into"),
        ("http://host/flop;drop", "a database is called by a plain name"),
        ("http://host/flop?readonly=0", r"write http\(s\)://host:port/database"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(tmp_path: Path, url: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why) as caught:
        server(url, tmp_path / "ledger.key")
    assert "secret" not in str(caught.value)


def test_what_a_url_leaves_out_is_what_is_usual(tmp_path: Path) -> None:
    found = server("https://ledger.example", tmp_path / "ledger.key")
    assert (found.port, found.database, str(found)) == (8443, "default", "https://ledger.example:8443/default")


def test_no_command_takes_the_data_directory_for_the_place_of_the_ledger() -> None:
    root = Path(__file__).parents[2]
    sources = [path for part in ("collector", "ledger") for path in (root / part).rglob("*commands.py")]
    assert len(sources) > 3
    assert [
        path.name for path in sources if re.search(r"connect\((load\(\)|settings)\.data_dir", path.read_text())
    ] == []
