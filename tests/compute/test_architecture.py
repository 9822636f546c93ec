from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.architecture import Transformer, six_pd

SIZES = st.integers(1, 10**5)
SHAPES = st.builds(Transformer, SIZES, SIZES, SIZES, SIZES, SIZES)


@pytest.mark.parametrize(
    ("parameters", "tokens", "flop"),
    [
        (3_800_000_000, 3_300_000_000_000, 75_240_000_000_000_000_000_000),  # Commission's guidelines, model A
        (405_000_000_000, 15_600_000_000_000, 37_908_000_000_000_000_000_000_000),  # Llama 3.1 405B
    ],
)
def test_six_pd_gives_the_published_figures_exactly(parameters: int, tokens: int, flop: int) -> None:
    assert six_pd(parameters, tokens) == flop


def test_a_shape_small_enough_to_count_by_hand() -> None:
    shape = Transformer(layers=1, width=2, feed_forward=3, vocabulary=5, context=4)
    query_key_value = 3 * 2 * 4 * 2 * 2
    scores_and_mix = 2 * (2 * 4 * 4 * 2)
    attended = 2 * 4 * 2 * 2
    feed_forward = 2 * (2 * 4 * 2 * 3)
    output = 2 * 4 * 2 * 5
    assert shape.forward_flop(1) == query_key_value + scores_and_mix + attended + feed_forward + output


def test_parameters_of_gpt_3_are_those_published() -> None:
    gpt_3 = Transformer(layers=96, width=12_288, feed_forward=4 * 12_288, vocabulary=50_257, context=2_048)
    assert gpt_3.parameters == pytest.approx(175e9, rel=0.01)


@given(SHAPES, st.integers(0, 10**6), st.integers(0, 10**6))
def test_sequences_add_up(shape: Transformer, some: int, more: int) -> None:
    assert shape.training_flop(some) + shape.training_flop(more) == shape.training_flop(some + more)


@given(SHAPES, st.integers(1, 10**6))
def test_it_exceeds_six_pd_by_the_attention_scores(shape: Transformer, sequences: int) -> None:
    tokens = sequences * shape.context
    scores = 12 * shape.layers * shape.width * shape.context * tokens
    assert shape.training_flop(sequences) == six_pd(shape.parameters, tokens) + scores
