"""Every page in a real browser: the ledger's own values, no complaint of the console, usable by everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ledger.questions import QUESTIONS
from ledger.totals import run_totals
from tests.ledger.chains import Chain
from tests.ledger.web import world

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from ledger.ledger import Ledger
    from ledger.store import Store

AXE = Path(__file__).parents[3] / ".cache" / "axe-core-4.14.1" / "axe.min.js"
PAGES = {
    "overview": "/",
    "run": "/runs/aurora-pretrain",
    "hostile run": f"/runs/{quote(world.NASTY, safe='')}",
    "model": "/models/aurora",
    "system": "/systems/assistant",
    "fleet": "/fleet",
    "unknown run": "/runs/aurora-pretrian",
    "evidence": "/evidence?run=aurora-pretrain&at=2026-11-20T10:00",
    "verify": "/verify",
    "report": "/report?subject=aurora",
    "ask": "/ask",
}


def values(page: Page, selector: str) -> list[int]:
    """Exact integers of a table, as its cells hold them."""
    return [int(value) for value in page.locator(f"{selector} data").evaluate_all("all => all.map(d => d.value)")]


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_use_it(tab: Page, served: str, name: str) -> None:
    assert AXE.exists(), "run: sh scripts/services.sh browser"
    answer = tab.goto(served + PAGES[name])
    assert answer is not None
    if name == "unknown run":
        assert answer.status == 404
        assert tab.get_by_role("link", name="aurora-pretrain").count() == 1
    # By the debugger's way in: the page's own policy lets no other script run.
    client = tab.context.new_cdp_session(tab)
    client.send("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        found = client.send(
            "Runtime.evaluate",
            {"expression": "axe.run().then(r => JSON.stringify(r.violations))", "awaitPromise": True},
        )
        serious = [
            (violation["id"], [node["html"][:120] for node in violation["nodes"][:3]])
            for violation in json.loads(found["result"]["value"])
            if violation["impact"] in {"serious", "critical"}
        ]
        assert not serious


def test_every_run_stands_in_the_overview_with_its_exact_total(tab: Page, served: str, full: Ledger) -> None:
    tab.goto(served)
    shown = {
        row.locator("th a").inner_text(): [
            int(value) for value in row.locator("data").evaluate_all("a => a.map(d => d.value)")
        ]
        for row in tab.locator("table.ladder tbody tr").all()
        if row.locator(".kind").inner_text().startswith("run")
    }
    assert world.RUNS.keys() <= shown.keys()
    for total in run_totals(full):
        if total.basis == "hardware" and total.flop is not None:
            assert shown[total.run_id] == [total.flop]
    assert shown[world.NASTY] == []


def test_the_one_look_says_who_is_next_and_when(tab: Page, served: str) -> None:
    tab.goto(served)
    words = tab.locator(".statement").inner_text()
    assert "is expected to cross" in words
    assert "10^25 (EU)" in words.replace("\n", "")


def test_a_runs_chart_has_the_ledgers_values(tab: Page, served: str, full: Ledger) -> None:
    tab.goto(served + PAGES["run"])
    tab.locator("figure[data-drawn=yes]").first.wait_for()
    assert tab.locator("figure canvas").count() == 2
    asked = {"run": "aurora-pretrain", "basis": "hardware"}
    hours = full.query(QUESTIONS["its curve by the hour"], asked).rows
    shown = values(tab, "#growth-table tbody[data-series=total]")
    points = list(zip(shown[::3], shown[1::3], shown[2::3], strict=True))
    assert points[-1] == tuple(hours[-1][1:4])
    assert set(points) <= {tuple(row[1:4]) for row in hours}
    (total,) = (t for t in run_totals(full) if t.run_id == "aurora-pretrain" and t.basis == "hardware")
    assert points[-1][0] == total.flop
    assert values(tab, "#growth-table tbody[data-series=lines]")[:2] == [10**23, 10**25]
    ahead = values(tab, "#growth-table tbody[data-series=ahead]")
    assert all(low <= middle <= high for middle, low, high in zip(ahead[::3], ahead[1::3], ahead[2::3], strict=True))
    tab.get_by_role("button", name="Log").click()
    assert tab.get_by_role("button", name="Log").get_attribute("aria-pressed") == "true"


def test_the_parts_of_a_run_add_up(tab: Page, served: str, full: Ledger) -> None:
    tab.goto(served + PAGES["run"])
    (total,) = (t for t in run_totals(full) if t.run_id == "aurora-pretrain" and t.basis == "hardware")
    for part in ("purpose", "number format", "method", "node", "device", "incarnation"):
        assert sum(values(tab, f"section[aria-label='By {part}']")) == total.flop, part


def test_a_number_opens_into_all_its_digits_by_the_keyboard(tab: Page, served: str) -> None:
    tab.goto(served + PAGES["run"])
    number = tab.locator(".amount details")
    number.locator("summary").focus()
    tab.keyboard.press("Enter")
    digits = number.locator("data")
    assert digits.inner_text().replace(",", "") == digits.get_attribute("value")
    tab.keyboard.press("Escape")
    assert number.get_attribute("open") is None


def test_times_are_in_utc_and_the_readers_own_is_said(tab: Page, served: str) -> None:
    tab.goto(served)
    fresh = tab.locator("#fresh time")
    assert fresh.inner_text() == "2026-11-23 14:26 UTC"
    assert "23:26" in (fresh.get_attribute("title") or "")
    assert "Asia/Tokyo" in tab.locator("#zone").inner_text()


def test_the_theme_that_was_chosen_stays(tab: Page, served: str) -> None:
    tab.emulate_media(color_scheme="light")
    tab.goto(served)
    tab.get_by_role("button", name="Switch to the dark theme").click()
    tab.goto(served + "/fleet")
    assert tab.locator("html").get_attribute("data-theme") == "dark"


def test_a_phone_shows_it_without_scrolling_sideways(tab: Page, served: str) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    for name in ("overview", "run", "model", "fleet"):
        tab.goto(served + PAGES[name])
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_a_live_run_moves(tab: Page, served: str, full: Ledger, engine: Store) -> None:
    tab.goto(served)
    link = tab.get_by_role("link", name="aurora-live", exact=True)
    assert link.count() == 0
    flop = world.grow(full, engine, Chain(9))
    link.wait_for()
    assert tab.locator("tr", has=link).locator("data").get_attribute("value") == str(flop)


def test_a_lost_connection_is_said_and_found_again(tab: Page, served: str) -> None:
    tab.goto(served)
    tab.context.set_offline(True)
    tab.evaluate("refresh()")
    said = tab.locator("#connection")
    said.get_by_text("Trying again").wait_for()
    tab.context.set_offline(False)
    said.wait_for(state="hidden")
