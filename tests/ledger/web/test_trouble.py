"""An empty ledger, one that does not answer, and our own mistakes: a helpful page, never a trace."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from cli.settings import Settings
from ledger.errors import Retry
from ledger.web.service import Server
from tests.ledger.chains import NOW_NS
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ledger.access import Access
    from ledger.ledger import Ledger
    from ledger.store import Result
    from ledger.web.overview import Overview
    from ledger.web.watch import Watch


class Broken:
    """A ledger that does not answer until it is mended."""

    def __init__(self, ledger: Ledger, error: Exception) -> None:
        self._ledger = ledger
        self.error: Exception | None = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        if self.error is not None:
            raise self.error
        return self._ledger.query(sql, parameters)


@contextmanager
def answering(access: Access) -> Iterator[tuple[httpx.Client, Watch[Overview]]]:
    """The page on `access`, which it looks at once, and then when it is told to."""
    server = Server(access, Settings(web_port=0, web_refresh_s=3600), Clock())
    server.start()
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client, server.page.watch
    server.stop()


def test_an_empty_ledger_says_what_to_do_first(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    with answering(ledger) as (client, _):
        page = client.get("/")
    assert page.status_code == 200
    assert "flopledger up" in page.text
    assert "FLOPLEDGER_RUN_ID=my-run python train.py" in page.text


def test_a_ledger_that_does_not_answer_is_said_and_tried_again(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    broken = Broken(ledger, Retry("table meters is being restored"))
    with answering(broken) as (client, watch):
        page = client.get("/")
        assert page.status_code == 503
        assert "being restored" in page.text
        assert 'data-retry="5"' in page.text
        assert client.get("/api/v1/overview").json() == {"error": "table meters is being restored"}
        broken.error = None
        watch.step()
        assert client.get("/").status_code == 200
        broken.error = Retry("gone again")
        watch.step()
        page = client.get("/")
        assert page.status_code == 200
        assert "The ledger does not answer since" in page.text
        assert watch.view.trouble is not None
        assert watch.view.trouble.since_ns == NOW_NS


def test_our_own_mistake_is_a_page_and_no_trace(ledger: Ledger) -> None:
    ledger.publish_catalogue()
    broken = Broken(ledger, ZeroDivisionError("secret"))
    with answering(broken) as (client, _):
        page = client.get("/")
        assert page.status_code == 503
        assert "our own mistake" in page.text
        assert "Traceback" not in page.text
        assert "secret" not in page.text


def test_it_listens_on_loopback_alone(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="reachable from elsewhere"):
        Server(ledger, Settings(data_dir=tmp_path, web_host="0.0.0.0"), Clock())
