"""Make docs/images from the demo's ledger: python scripts/screenshots.py [DATA_DIR], after `flopledger demo`.

Chromium comes by `sh scripts/services.sh browser`. DATA_DIR holds a ledger that nobody else holds.
"""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from cli.settings import Settings, default_data_dir
from ledger.ledger import Ledger
from ledger.web.service import Server

IMAGES = Path(__file__).parent.parent / "docs" / "images"
RUN = "llama-3.1-405b"
SHOTS = {
    "overview": ("/", "light", (1280, 860)),
    "overview-dark": ("/", "dark", (1280, 860)),
    "run": (f"/runs/{RUN}", "light", (1280, 1160)),
    "run-dark": (f"/runs/{RUN}", "dark", (1280, 1160)),
    "model": (f"/models/{RUN}", "light", (1280, 1160)),
    "fleet": ("/fleet", "light", (1280, 860)),
    "evidence": (f"/evidence?run={RUN}&at=2024-03-20T10:00", "light", (1280, 860)),
    "report": ("/report", "light", (1280, 700)),
    "ask": ("/ask", "light", (1280, 1000)),
    "phone": ("/", "light", (390, 844)),
}


def main(data_dir: Path) -> None:
    """All of them."""
    IMAGES.mkdir(exist_ok=True)
    settings = Settings(data_dir=data_dir, web_port=0)
    with closing(Ledger.open(data_dir, time.time_ns)) as ledger, sync_playwright() as playwright:
        server = Server(ledger, settings, time.time_ns)
        server.start()
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (address, theme, size) in SHOTS.items():
            _shot(chromium, server.url + address, theme, size, IMAGES / f"{name}.png")
        chromium.close()
        server.stop()


def _shot(browser: Browser, url: str, theme: str, size: tuple[int, int], path: Path) -> None:
    width, height = size
    page = browser.new_page(
        viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
    )
    page.goto(url)
    page.evaluate("document.fonts.ready")
    for figure in page.locator("figure[data-chart]").all():
        figure.locator("canvas").wait_for()
    asks = page.locator("#ask button.primary")
    if asks.count():
        asks.click()
        page.locator("table.answer").wait_for()
    page.screenshot(path=path)
    page.close()
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default_data_dir() / "demo")
