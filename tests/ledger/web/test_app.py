"""What the page answers to programs, and to whatever makes no sense."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import httpx
import pytest

from ledger.totals import run_totals
from ledger.web import assets
from ledger.web.guard import HEADERS
from tests.ledger.web import world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.ledger import Ledger

MOST_BYTES = 400_000


@pytest.fixture(scope="module")
def client(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, timeout=60) as made:
        yield made


def test_flop_are_exact_decimal_strings(client: httpx.Client, full: Ledger) -> None:
    subjects = client.get("/api/v1/overview").json()["subjects"]
    shown = {s["id"]: s["flop"] for s in subjects if s["kind"] == "run"}
    for total in run_totals(full):
        if total.basis == "hardware":
            assert shown[total.run_id] == (None if total.flop is None else str(total.flop))
    (aurora,) = (s for s in subjects if s["id"] == "aurora-pretrain")
    (eu,) = (s for s in aurora["standings"] if s["threshold"] == "eu-aia-51-2")
    assert eu["line_flop"] == str(10**25)
    assert eu["early_at"] <= eu["expected_at"] <= eu["late_at"]


def test_a_run_a_model_a_system_and_the_fleet_are_there_as_json(client: httpx.Client) -> None:
    run = client.get("/api/v1/runs/aurora-pretrain").json()
    assert run["curve"][-1]["flop"] == run["run"]["flop"] == run["hardware_flop"]
    assert run["ratio"] == pytest.approx(100 / 90, rel=0.01)
    model = client.get("/api/v1/models/nimbus").json()
    assert {found["id"] for found in model["runs"]} >= {"nimbus-sft", "aurora-pretrain"}
    assert client.get("/api/v1/systems/assistant").json()["subject"]["kind"] == "system"
    fleet = client.get("/api/v1/fleet").json()
    assert fleet["devices"] == 7
    assert "node-3" in {node["node"] for node in fleet["silent"]}


def test_a_name_with_markup_in_it_is_a_name(client: httpx.Client) -> None:
    address = httpx.URL("http://x").copy_with(path=f"/runs/{world.NASTY}").raw_path.decode()
    html = client.get(address).text
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert" in html
    assert client.get(f"/api/v1{address}").json()["run"]["id"] == world.NASTY
    missing = client.get("/runs/%3Cimg%20src=x%20onerror=alert(1)%3E")
    assert missing.status_code == 404
    assert "<img src=x" not in missing.text


def test_what_is_not_on_record_is_said_with_what_is_near(client: httpx.Client) -> None:
    missing = client.get("/api/v1/runs/aurora-pretrian")
    assert missing.status_code == 404
    assert missing.json()["error"] == "no run of this name is on record"
    assert missing.json()["near"][0] == "aurora-pretrain"
    assert client.get("/nowhere").status_code == 404
    assert "no page at this address" in client.get("/nowhere").text
    assert client.get("/api/v1/nowhere").json() == {"error": "Not Found"}


@pytest.mark.parametrize("query", ["page=-3", "page=999999", "q=%00", "q=" + "x" * 4_000])
def test_no_question_breaks_the_overview(client: httpx.Client, query: str) -> None:
    assert client.get(f"/?{query}").status_code == 200


def test_what_makes_no_sense_is_refused_in_words(client: httpx.Client) -> None:
    refused = client.get("/?page=two")
    assert refused.status_code == 422
    assert "page: Input should be a valid integer" in refused.text
    assert client.get("/api/v1/subjects?limit=0").json() == {
        "error": "limit: Input should be greater than or equal to 1"
    }
    assert client.get("/api/v1/subjects?kind=table").status_code == 422
    assert client.post("/").status_code == 405


def test_nothing_is_written_by_a_get(client: httpx.Client, full: Ledger) -> None:
    tables = "SELECT table, sum(rows) FROM system.parts WHERE active GROUP BY table ORDER BY table"
    before = full.query(tables).rows
    for path in ("/", "/runs/aurora-pretrain", "/models/aurora", "/systems/assistant", "/fleet", "/api/v1/overview"):
        assert client.get(path).status_code == 200
    assert full.query(tables).rows == before


def test_every_answer_forbids_what_is_not_ours(client: httpx.Client) -> None:
    for path in ("/", "/nowhere", "/api/v1/overview", assets.address("page.js")):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    html = client.get("/runs/aurora-pretrain").text
    assert "style=" not in html.replace('class="', "")
    assert "<script>" not in html


def test_all_assets_together_are_light(client: httpx.Client) -> None:
    names = [
        f"/{name}" for name in ("style.css", "uplot.css", "page.js", "theme.js", "charts.js", "uplot.js", "icon.svg")
    ]
    size = sum(len(gzip.compress(client.get(assets.address(name[1:])).content)) for name in names)
    size += len(assets.content("inter.woff2"))
    size += len(gzip.compress(client.get("/runs/aurora-pretrain").content))
    assert size <= MOST_BYTES
    kept = client.get(assets.address("style.css")).headers["cache-control"]
    assert "immutable" in kept
    assert client.get("/static/000000000000/style.css").headers["cache-control"] == "no-store"
    assert client.get("/static/x/..%2Fwords.py").status_code == 404
