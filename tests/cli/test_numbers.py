from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.exits import Misconfigured
from cli.numbers import fraction, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [("3.8e25", 38 * 10**24), ("-1e3", -1_000), ("+7", 7), ("2.50e1", 25), ("1.", 1), (".5e1", 5), (" 4 ", 4)],
)
def test_whole_numbers_are_read_exactly(text: str, number: int) -> None:
    assert whole(text, "--x") == number


def test_a_tenth_is_a_tenth() -> None:
    assert fraction("0.1", "--x") == Fraction(1, 10)


@pytest.mark.parametrize("text", ["", "much", "nan", "inf", "-", "1_000", "1,5", "1e9999", "0x10", "٣", "1 2", "1e"])
def test_what_is_no_number_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(Misconfigured, match=r"^--x .* is not a number such as"):
        whole(text, "--x")


@pytest.mark.parametrize("text", ["0.5", "1e-1", "12.34e1"])
def test_a_broken_number_is_not_whole(text: str) -> None:
    with pytest.raises(Misconfigured, match="is not a whole number"):
        whole(text, "--x")


@given(st.integers(-(10**40), 10**40))
def test_no_digit_is_lost(number: int) -> None:
    assert whole(str(number), "--x") == number
