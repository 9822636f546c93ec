"""A ledger that the page shows, a server in front of it, and a real browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from cli.settings import Settings
from ledger.web import overview, watch
from ledger.web.service import Server
from tests.ledger.engine import Clock, clock, engine, engine_dir, ledger, opened, store
from tests.ledger.web import world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

    from ledger.ledger import Ledger
    from ledger.store import Store

__all__ = ["clock", "engine", "engine_dir", "ledger", "store"]

GET_BROWSER = "sh scripts/services.sh browser"


@pytest.fixture(scope="module")
def full(engine: Store) -> Ledger:
    """A ledger with all that a page can show, for a whole module: its tests add to it and take nothing away."""
    made = opened(engine, Clock())
    made.publish_catalogue()
    world.fill(made, engine)
    return made


@pytest.fixture(scope="module")
def web_settings(engine_dir: Path) -> Settings:
    """Looks often, listens on a free port."""
    return Settings(data_dir=engine_dir, web_port=0, web_refresh_s=0.2)


@pytest.fixture(scope="module")
def served(full: Ledger, web_settings: Settings) -> Iterator[str]:
    """The address of the page on that ledger; its clock stands still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "SHARE", 0)
        patch.setattr(watch, "SHARE_UNWATCHED", 0)
        patch.setattr(overview, "DEAR_SHARE", 0)
        server = Server(full, web_settings, Clock())
        server.start()
        yield server.url
        server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail(f"no Chromium to test the page with, and this is CI: {GET_BROWSER}")
        pytest.skip(f"NOT TESTED in a real browser: get one with `sudo {GET_BROWSER}`")
    with sync_playwright() as playwright:
        # Root in a container has no sandbox of its own; the page is ours.
        made = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def tab(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page of the browser. Whatever its console complains of fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB", timezone_id="Asia/Tokyo")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if _complains(said) else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert not complaints, complaints


def _complains(said: ConsoleMessage) -> bool:
    """What the browser says of an answer that a test asked for is none."""
    asked_for = ("status of 404", "ERR_INTERNET_DISCONNECTED")
    return said.type in {"error", "warning"} and not any(words in said.text for words in asked_for)
