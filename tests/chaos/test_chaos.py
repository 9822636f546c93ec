from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.chaos.run import chaos
from tests.chaos.schedule import Kind, schedule
from tests.services.kafka.fixtures import kafka_jars

if TYPE_CHECKING:
    from pathlib import Path


def test_the_faults_follow_from_the_seed_and_every_kind_comes() -> None:
    assert schedule(7, 180) == schedule(7, 180) != schedule(8, 180)
    found = Counter(fault.kind for fault in schedule(7, 180))
    assert found.keys() == set(Kind)
    assert max(found.values()) - min(found.values()) <= 1


@pytest.mark.timeout(400)
def test_whatever_fails_the_total_is_the_truth(tmp_path: Path) -> None:
    outcome = chaos(seed=1, seconds=25, jars=kafka_jars(), directory=tmp_path)
    assert outcome.ledger_flop == outcome.truth_flop > 0
    assert outcome.wrong == ()
    assert outcome.readings > 0
