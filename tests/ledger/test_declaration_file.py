"""Declarations in YAML: read exactly, applied once, and refused by line and field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.declaration_file import parse, read
from ledger.declarations import Declaration, declared
from ledger.declare import declare
from ledger.errors import Refused
from ledger.models import models, systems

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.ledger import Ledger

FILE = """\
runs:
  - run: llama-pre
    model: llama
    purpose: pre-training
    planned_flop: 3.8e+25
    planned_end: 2026-12-24T18:30:00Z
    devices: 16384
  - run: chat-ft
    model: chat
    parent: llama-pre
models:
  - model: chat
    base: [llama]
    data_from: [writer]
    traits: [generates-language]
systems:
  - system: assistant
    models: [chat, writer]
"""


def test_a_file_is_applied_as_it_reads_and_only_once(ledger: Ledger) -> None:
    assert len(declare(ledger, parse(FILE, "a.yaml"), "me")) == 5
    assert declare(ledger, parse(FILE, "a.yaml"), "me") == []
    assert declared(ledger, "llama-pre") == Declaration(
        "llama-pre", "llama", "pre-training", "", 38 * 10**24, "2026-12-24T18:30:00Z", 16_384
    )
    assert declared(ledger, "chat-ft").parent == "llama-pre"
    assert {(edge.kind, edge.parent) for edge in models(ledger)["chat"].edges} == {
        ("base", "llama"),
        ("data", "writer"),
    }
    assert systems(ledger)["assistant"].models == {"chat", "writer"}


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("purpose: pre", "porpose: pre", "line 4: runs.0.porpose: "),
        (
            "planned_flop: 3.8e+25",
            "planned_flop: lots",
            "line 5: runs.0.planned_flop: planned_flop 'lots' is",
        ),
        ("devices: 16384", "devices: many", "line 7: runs.0.devices: "),
        ("    base: [llama]", "    base: llama", "line 13: models.0.base: "),
        ("  - run: chat-ft\n", "  - name: chat-ft\n", "line 8: runs.1.run: Field required"),
        ("  - run: chat-ft\n", "  - run: llama-pre\n", "line 8: runs: 'llama-pre' stands there twice"),
        ("    model: chat\n", "    model: chat\n    model: other\n", "line 10: 'model' stands there twice"),
        ("    models: [chat, writer]", "    models: []", "line 18: systems.0.models: "),
        ("systems:", "system:", "line 16: system: "),
        ("models: [chat, writer]", "models: [chat, writer", "while parsing"),
        (FILE, "just text", "line 1: the file: "),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(old: str, new: str, place: str) -> None:
    assert old in FILE
    with pytest.raises(Refused) as caught:
        parse(FILE.replace(old, new), "a.yaml")
    assert str(caught.value).startswith(f"a.yaml: {place}")
    assert "\n" not in str(caught.value)


def test_what_makes_no_sense_in_it_is_refused_with_nothing_written(ledger: Ledger) -> None:
    before = ledger.query("SELECT count() FROM journal").rows
    for text, sentence in (
        (FILE.replace("pre-training", "training"), "purpose 'training' is none of: "),
        (FILE + "  - {system: other, models: ['']}\n", "the name of a model has 1 to 512 characters"),
        (FILE.replace("base: [llama]", "base: [chat]"), "a model cannot be behind itself: chat → chat"),
    ):
        with pytest.raises(Refused) as caught:
            declare(ledger, parse(text, "a.yaml"), "me")
        assert sentence in str(caught.value)
    assert ledger.query("SELECT count() FROM journal").rows == before


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nowhere\.yaml"):
        read(tmp_path / "nowhere.yaml")
