"""What all requests share: the ledger, who watches it, and answers that many viewers get."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from cli.settings import Settings
from ledger.access import Access
from ledger.errors import Retry
from ledger.web import fleet, model, run
from ledger.web.answers import Answers
from ledger.web.overview import Gatherer, Overview
from ledger.web.subjects import Subject
from ledger.web.trouble import NotOnRecord
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

    def overview(self) -> Overview:
        """What the last look found; raises `Retry` when none has found anything."""
        view = self.watch.view
        if view.found is None:
            raise Retry(view.trouble.says if view.trouble else "nobody has looked yet")
        return view.found

    def subject(self, kind: str, name: str) -> Subject:
        """The run, model or system of this name; raises `NotOnRecord`."""
        overview = self.overview()
        found = overview.subject(kind, name)
        if found is None:
            names = [subject.id for subject in overview.subjects if subject.kind == kind]
            raise NotOnRecord(kind, name, difflib.get_close_matches(name, names, n=5, cutoff=0.4))
        return found

    def run(self, run_id: str) -> run.Run:
        """All of one run, asked once per version of the ledger."""
        subject = self.subject("run", run_id)
        return self.answers.get(
            ("run", run_id), lambda: run.gather(self.access, self.overview(), subject, self.now_ns())
        )

    def group(self, kind: str, name: str) -> model.Group:
        """All of one model or system."""
        subject = self.subject(kind, name)
        return self.answers.get(
            (kind, name), lambda: model.gather(self.access, self.overview(), subject, self.now_ns())
        )

    def fleet(self) -> fleet.Fleet:
        """All devices."""
        return self.answers.get("fleet", lambda: fleet.gather(self.access, self.now_ns()))


def _page(request: Request) -> Page:
    page: Page = request.app.state.page
    return page


PageOf = Annotated[Page, Depends(_page)]
"""A parameter of a route: the page that the application serves."""
