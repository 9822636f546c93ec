"""What is named of a run beside its id: model, purpose, number format. Each label is news once."""

from __future__ import annotations

from typing import NamedTuple

MAX_REMEMBERED = 8_192


class Label(NamedTuple):
    """What `source` names of a run; None is what it does not name."""

    run: str
    source: str
    model: str | None = None
    purpose: str | None = None
    dtype: str | None = None

    @property
    def detail(self) -> dict[str, str | int | None]:
        """What an event says of it: only what was named."""
        said = {"model": self.model, "purpose": self.purpose, "dtype": self.dtype, "source": self.source}
        return {name: text for name, text in said.items() if text}


class Labels:
    """The labels that were met, until they are too many; then they begin anew, which repeats some and loses none."""

    def __init__(self) -> None:
        self._met: set[Label] = set()
        self._news: list[Label] = []

    def met(self, label: Label) -> None:
        """Keep it, if it names anything and was not met before."""
        if label in self._met or not (label.model or label.purpose or label.dtype):
            return
        if len(self._met) >= MAX_REMEMBERED:
            self._met.clear()
        self._met.add(label)
        self._news.append(label)

    def news(self) -> list[Label]:
        """Those that were met since the last call."""
        news, self._news = self._news, []
        return news
