from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.batches import batch, batches, reading
from tests.wire.fuzzing import decodes_or_refuses, holds, opens_or_refuses, refuses_what_was_changed, subjects
from wire.seal import encode

if TYPE_CHECKING:
    import random

    from wire.batch import Batch
    from wire.seal import Sealed

SUBJECTS = st.sampled_from(subjects())
MANY = settings(deadline=None, max_examples=400)
RANDOM = st.randoms(use_true_random=False)


@MANY
@given(SUBJECTS, RANDOM)
def test_a_batch_with_any_part_changed_does_not_open(sealed: Sealed, rng: random.Random) -> None:
    refuses_what_was_changed(sealed, rng)


@MANY
@given(SUBJECTS, RANDOM)
def test_a_changed_body_that_is_signed_is_a_batch_or_an_error_of_ours(sealed: Sealed, rng: random.Random) -> None:
    opens_or_refuses(sealed, rng)


@settings(deadline=None, max_examples=50)
@given(batches())
def test_what_an_agent_could_seal_holds_what_is_asked_of_what_opens(sent: Batch) -> None:
    assert decodes_or_refuses(encode(sent))
    holds(sent)


def test_a_batch_that_breaks_a_promise_would_be_found() -> None:
    with pytest.raises(AssertionError):
        holds(batch(reading(tokens=5), reading(tokens=4)))


def test_the_million_runs_in_small() -> None:
    command = [sys.executable, "-m", "tests.wire.fuzzing", "--inputs=500", "--seed=7"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert '"seed": 7' in done.stdout.splitlines()[-1]
