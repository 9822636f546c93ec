"""The first page in a real browser: everything on record stands on it, with the ledger's own values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.totals import run_totals
from tests.ledger.chains import Chain
from tests.ledger.web import world

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from ledger.ledger import Ledger
    from ledger.store import Store


def test_every_run_stands_there_with_its_exact_total(tab: Page, served: str, full: Ledger) -> None:
    tab.goto(served)
    shown = {
        row.locator("th a").inner_text(): [
            int(v) for v in row.locator("data").evaluate_all("all => all.map(d => d.value)")
        ]
        for row in tab.locator("table.ladder tbody tr").all()
        if row.locator(".kind").inner_text().startswith("run")
    }
    assert shown.keys() == world.RUNS.keys()
    for total in run_totals(full):
        if total.basis == "hardware" and total.flop is not None:
            assert shown[total.run_id] == [total.flop]


def test_a_live_run_moves(tab: Page, served: str, full: Ledger, engine: Store) -> None:
    tab.goto(served)
    assert tab.get_by_role("link", name="aurora-live", exact=True).count() == 0
    flop = world.grow(full, engine, Chain(9))
    tab.get_by_role("link", name="aurora-live", exact=True).wait_for()
    row = tab.locator("tr", has=tab.get_by_role("link", name="aurora-live", exact=True))
    assert row.locator("data").get_attribute("value") == str(flop)
