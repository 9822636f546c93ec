"""What auditors do: ask, verify, read the evidence, make a report. In a real browser and through the API."""

from __future__ import annotations

import io
import json
import re
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow.parquet
import pytest
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from schemathesis.core.result import Ok

from ledger.gateway.engine import Limits
from ledger.proof.checkpoint import export
from ledger.web.ask import cookbook
from ledger.web.console import Here
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from wire.rfc3339 import format_ns
from wire.signature import raw_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from ledger.ledger import Ledger

ROOT = Path(__file__).parents[3]
FLOP = 38 * 10**24
RUN = 'audited <b>"run"</b>'
AT_NS = NOW_NS - 2 * HOUR_NS
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
]
QUESTIONS = re.compile(r"^### (.*?)\n.*?```sql\n(.*?)\n```", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def chain(full: Ledger) -> Chain:
    """An agent that has sealed two batches for a run whose name is markup."""
    made = Chain(7)
    take(full, [made.seal(meter(FLOP // 2, run=RUN, at_ns=AT_NS)), made.seal(meter(FLOP, run=RUN, at_ns=AT_NS + 60))])
    return made


@pytest.fixture(scope="module")
def web(served: str, chain: Chain) -> Iterator[httpx.Client]:
    """A browser without scripts, and with time."""
    del chain
    with httpx.Client(base_url=served, timeout=120, headers={"accept": "text/html"}) as http:
        yield http


@pytest.fixture(scope="module")
def api(served: str, chain: Chain) -> Iterator[httpx.Client]:
    del chain
    with httpx.Client(base_url=f"{served}/api/v1", timeout=120) as http:
        yield http


# Ask.


def test_the_cookbook_is_that_of_the_docs() -> None:
    page = (ROOT / "docs" / "auditors.md").read_text(encoding="utf-8")
    assert [(one.question, one.sql) for one in cookbook()] == QUESTIONS.findall(page)


def test_an_auditor_asks_in_the_browser_and_gets_the_last_digit(tab: Page, served: str, chain: Chain) -> None:
    del chain
    tab.goto(f"{served}/ask")
    tab.get_by_role("link", name="How much compute has each run used, and how sure is that?").click()
    assert "run_totals" in tab.get_by_label("SQL, in ClickHouse's dialect").input_value()
    tab.get_by_label("SQL").fill(f"SELECT run_id, flop FROM run_totals WHERE flop = toUInt256('{FLOP}')")
    tab.get_by_label("SQL").press("Control+Enter")
    tab.get_by_role("heading", name="1 row").wait_for()
    assert tab.locator("table.answer td").all_inner_texts() == [RUN, str(FLOP)]
    with tab.expect_download() as loading:
        tab.get_by_role("button", name="CSV").click()
    assert Path(loading.value.path()).read_text() == f'"run_id","flop"\n"{RUN.replace(chr(34), chr(34) * 2)}",{FLOP}\n'
    tab.get_by_label("SQL").fill("DROP TABLE journal")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("INSERT INTO journal (kind) VALUES ('run')", "only statements that read"),
        ("SELECT 1 INTO OUTFILE 'x'", "INTO writes"),
        ("SELECT * FROM url('http://127.0.0.1', CSV)", "not allowed"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT nothing FROM run_totals", "nothing"),
        ("SELEC 1", "only statements that read"),
        ("  ", "one statement"),
    ],
)
def test_what_gets_no_answer_says_why(web: httpx.Client, api: httpx.Client, sql: str, says: str) -> None:
    answer = api.post("/ask", json={"sql": sql})
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    page = web.post("/ask", data={"sql": sql})
    assert page.status_code == 400
    assert "Not answered." in page.text
    assert "Traceback" not in page.text


def test_a_huge_result_is_shown_in_part_and_as_a_file_it_is_whole(web: httpx.Client, api: httpx.Client) -> None:
    sql = "SELECT number, toUInt256(number) * toUInt256('38000000000000000000000000') AS flop FROM numbers(5000)"
    shown = api.post("/ask", json={"sql": sql}).json()
    assert (len(shown["rows"]), shown["more"], shown["rows"][1]) == (1_000, True, ["1", str(FLOP)])
    assert "There are more rows" in web.post("/ask", data={"sql": sql}).text
    csv = api.post("/ask", json={"sql": sql, "format": "csv"})
    assert csv.text.count("\n") == 5_001
    assert csv.headers["content-type"].startswith("text/csv")
    parquet = api.post("/ask", json={"sql": sql, "format": "parquet"}).content
    table = pyarrow.parquet.read_table(io.BytesIO(parquet))
    assert [int(str(flop)) for flop in table.column("flop").to_pylist()] == [n * FLOP for n in range(5_000)]
    too_large = api.post("/ask", json={"sql": "SELECT number FROM numbers(2000000)", "format": "csv"})
    assert too_large.status_code == 400
    assert "Limit for result exceeded" in too_large.json()["error"]


def test_a_question_without_end_is_stopped_by_its_time_or_when_its_asker_goes(
    served: str, api: httpx.Client, engine_dir: Path
) -> None:
    endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served}/api/v1/ask", json={"sql": endless}, timeout=0.3)
    running = "SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number)%' AND query NOT LIKE '%LIKE%'"
    for _ in range(100):
        if api.post("/ask", json={"sql": running}).json()["rows"] == [["0"]]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("it runs on without anybody to hear it")
    here = Here(engine_dir / "ledger", Limits(execution_s=1, concurrent=1))
    with pytest.raises(Exception, match="Timeout exceeded"):
        here.ask(endless, "CSV", 0, "00000000-0000-0000-0000-000000000001")
    here.close()


def test_every_question_is_written_down_before_it_is_answered(api: httpx.Client, engine_dir: Path) -> None:
    api.post("/ask", json={"sql": "SELECT 'this very question'"})
    lines = [json.loads(line) for line in (engine_dir / "web-audit.jsonl").read_text().splitlines()]
    (asked,) = [line for line in lines if line.get("asks") == "SELECT 'this very question'"]
    assert (asked["who"], asked["role"], asked["way"]) == ("loopback", "auditor", "loopback")


# Verify.


def ended(api: httpx.Client, number: int) -> dict[str, Any]:
    for _ in range(600):
        found: dict[str, Any] = api.get(f"/verifications/{number}").json()
        if found["state"] != "running":
            return found
        time.sleep(0.05)
    pytest.fail("the verification does not end")


def test_a_verification_is_started_watched_and_read_in_the_browser(
    tab: Page, served: str, chain: Chain, full: Ledger, tmp_path: Path
) -> None:
    del chain
    checkpoint = tmp_path / "kept.json"
    export(full, full.checkpoint("test"), checkpoint)
    tab.goto(f"{served}/verify")
    tab.get_by_text("Hold it against a checkpoint that you kept").click()
    tab.get_by_label("The file's text").fill(checkpoint.read_text())
    tab.get_by_role("button", name="Verify now").click()
    tab.get_by_role("heading", name=re.compile("In order|Not in order")).wait_for(timeout=60_000)
    assert "Batches" in tab.locator("dl.facts").inner_text()
    tab.goto(f"{served}/verify")
    assert tab.locator("table tbody tr").count() >= 1


def test_what_is_no_checkpoint_is_refused_with_the_reason(web: httpx.Client, api: httpx.Client) -> None:
    answer = api.post("/verifications", json={"checkpoint": "{}"})
    assert answer.status_code == 400
    assert "no whole checkpoint" in answer.json()["error"]
    page = web.post("/verify", data={"checkpoint": "{}"})
    assert "no whole checkpoint" in page.text


def test_its_findings_lead_to_the_batch(web: httpx.Client, api: httpx.Client, chain: Chain) -> None:
    number = api.post("/verifications", json={}).json()["number"]
    found = ended(api, number)
    assert found["state"] == "not in order"
    enrolled = [one for one in found["findings"] if one["agent"] == chain.agent]
    assert enrolled
    link = f"/evidence/{chain.agent}/{enrolled[0]['chain']}/{enrolled[0]['seq']}"
    assert link in web.get(f"/verify/{number}").text
    told = web.get(f"/verify/{number}/events").text
    assert '"state":"not in order"' in told


# Evidence.


def test_behind_a_point_are_its_batches_and_their_signatures_are_checked_now(
    tab: Page, served: str, api: httpx.Client, chain: Chain
) -> None:
    found = api.get("/evidence", params={"run": RUN, "at": format_ns(AT_NS)}).json()
    assert [(one["seq"], one["flop"], one["signed"]) for one in found["batches"]] == [
        (0, str(FLOP // 2), True),
        (1, str(FLOP), True),
    ]
    tab.goto(f"{served}/evidence?run={RUN.replace('<', '%3C')}&at={format_ns(AT_NS)[:16]}")
    tab.get_by_role("link", name="1", exact=True).click()
    tab.get_by_role("heading", name=re.compile(r"Batch 1")).wait_for()
    rows = {
        row[0]: row[1]
        for row in (r.split("\t") for r in tab.locator("section:nth-of-type(2) tbody tr").all_inner_texts())
    }
    assert rows["Ed25519 signature by the agent's key"] == "yes"
    assert rows["it follows the batch before it"] == "yes"
    with tab.expect_download() as loading:
        tab.get_by_role("link", name="The signed bytes").click()
    body = Path(loading.value.path()).read_bytes()
    base = f"/batches/{chain.agent}/{found['batches'][1]['chain']}/1"
    signature = api.get(f"{base}/signature").content
    Ed25519PublicKey.from_public_bytes(raw_key(chain.agent)).verify(signature, body)
    (shown,) = api.get(base).json()["batches"]
    assert shown["sha256"] == sha256(body).hexdigest()


@pytest.mark.parametrize(
    "path",
    [
        "evidence/nobody/00000000-0000-0000-0000-000000000007/0",
        "evidence/nobody/no-uuid/0",
        "evidence/%3Cscript%3Ealert(1)%3C%2Fscript%3E/00000000-0000-0000-0000-000000000007/1",
        "evidence?run=none&at=2026-11-23T10:00",
        "evidence?run=none&at=9999-11-23T10:00",
        "evidence?run=none&at=yesterday",
        "verify/77",
        "report/document?subject=%3Cscript%3Ealert(1)%3C/script%3E&threshold=eu-aia-51-2",
        "report/document?subject=aurora&threshold=none",
        "ask?example=99",
    ],
)
def test_what_is_not_there_is_a_helpful_page(web: httpx.Client, path: str) -> None:
    answer = web.get(f"/{path}")
    assert answer.status_code in {200, 404, 422}
    assert "<h1" in answer.text
    assert "<script>alert" not in answer.text
    assert "Traceback" not in answer.text


# Report.


def test_a_report_opens_as_a_page_that_runs_nothing(tab: Page, served: str, web: httpx.Client) -> None:
    tab.goto(f"{served}/report")
    tab.get_by_label("Model, system or run").fill("aurora")
    tab.get_by_label("Line").select_option("eu-aia-51-2")
    tab.get_by_role("button", name="Make the report").click()
    tab.get_by_role("heading", level=1).first.wait_for()
    assert "aurora" in tab.title() or "aurora" in tab.locator("h1").first.inner_text()
    answer = web.get("/report/document", params={"subject": "aurora", "threshold": "eu-aia-51-2", "form": "json"})
    assert answer.json()["subject"] == "aurora"
    assert "attachment" in answer.headers["content-disposition"]
    assert "script-src" not in answer.headers["content-security-policy"]


# The API as its document says it.


def test_the_api_is_what_its_document_says(served: str, chain: Chain) -> None:
    del chain
    schema = schemathesis.openapi.from_url(f"{served}/api/v1/openapi.json")
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 8
    for operation in operations:

        @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            answer = case.call(timeout=60)
            case.validate_response(answer, checks=CHECKS)

        holds()
