"""What is named of a run beside its id, each thing once."""

from __future__ import annotations

from agent.attribution.interface import Claim
from agent.attribution.labels import MAX_REMEMBERED, Label, Labels
from agent.attribution.sources import Attribution
from agent.devices.interface import ProcessKey
from compute.precision import Dtype
from tests.agent.attribution.proc import GPU


class Changing:
    """A source that says what it is told to."""

    written_by_root = False
    changes = False
    name = "source"

    def __init__(self, answer: Claim) -> None:
        self.answer = answer

    def claim(self, process: ProcessKey, device: object) -> Claim | None:
        del process, device
        return self.answer


def test_only_what_was_really_named_is_in_a_label_and_a_change_is_news() -> None:
    source = Changing(Claim("r", True))
    attribution = Attribution([source], lambda: 0)
    said = []
    claims = (Claim("r", True), Claim("r", True, model="m"), Claim("r", True, model="m"), Claim("r", True, "rl"))
    for pid, answer in enumerate((*claims, Claim("r", True, None, Dtype.UNDECLARED, "n"))):
        source.answer = answer
        attribution.identify(ProcessKey(pid, 7, "boot"), GPU)
        said.append([label.detail for label in attribution.labels.news()])
    assert said == [
        [],
        [{"model": "m", "source": "source"}],
        [],
        [{"purpose": "rl", "source": "source"}],
        [{"model": "n", "source": "source"}],
    ]


def test_the_source_of_a_label_is_the_one_that_named_the_model() -> None:
    run, model = Changing(Claim("r", True)), Changing(Claim(model="m"))
    model.name = "pod-labels"
    attribution = Attribution([run, model], lambda: 0)
    attribution.identify(ProcessKey(1, 7, "boot"), GPU)
    assert attribution.labels.news() == [Label("r", "pod-labels", "m")]


def test_labels_without_end_take_no_more_room_and_none_is_lost() -> None:
    labels = Labels()
    for n in range(MAX_REMEMBERED + 1):
        labels.met(Label(f"r{n}", "source", "m"))
    assert len(labels.news()) == MAX_REMEMBERED + 1
    labels.met(Label("r0", "source", "m"))
    assert [label.run for label in labels.news()] == ["r0"]
