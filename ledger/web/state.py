"""What all requests share: the ledger, who watches it, answers that many viewers get, and the templates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from cli.settings import Settings
from ledger.access import Access
from ledger.web.answers import Answers
from ledger.web.overview import Gatherer, Overview
from ledger.web.watch import Watch


@dataclass(frozen=True, slots=True)
class Page:
    """One ledger, as it is shown."""

    access: Access
    settings: Settings
    now_ns: Callable[[], int]
    watch: Watch[Overview]
    answers: Answers

    @classmethod
    def over(cls, access: Access, settings: Settings, now_ns: Callable[[], int]) -> Page:
        """The page on what `access` reaches."""
        watch = Watch(access, Gatherer(access, now_ns), now_ns, settings.web_refresh_s)
        return cls(access, settings, now_ns, watch, Answers(watch.version))


def _page(request: Request) -> Page:
    page: Page = request.app.state.page
    return page


PageOf = Annotated[Page, Depends(_page)]
"""A parameter of a route: the page that the application serves."""
