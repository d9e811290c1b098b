"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vio4wd.inspection.figures import ASCII, UNICODE, bar, duration, percent, quantity, sparkline, symbols


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.2"),
        (7, "7"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1234, "1.23k"),
        (45_640_000, "45.6M"),
        (7.89e11, "789G"),
        (5e15, "5000T"),
    ],
)
def test_quantity(value, text):
    assert quantity(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ns"),
        (9.5e-7, "950ns"),
        (2.1e-6, "2.1µs"),
        (0.041, "41ms"),
        (0.9999, "1.0s"),
        (7.31, "7.3s"),
        (59.6, "1m00s"),
        (250, "4m10s"),
        (11_100, "3h05m"),
        (86_399.9, "1d00h"),
        (12.3 * 86400, "12d07h"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_percent():
    assert [percent(share) for share in (0, 0.001, 0.01, 0.5, 1)] == ["0%", "<1%", "1%", "50%", "100%"]


@given(st.floats(0, 1e9))
def test_figures_are_short(value):
    assert len(quantity(value)) <= 5
    assert len(duration(value)) <= 9


@given(st.floats(-1, 2), st.integers(1, 80), st.sampled_from([ASCII, UNICODE]))
def test_bars_fill_their_width(share, width, drawn):
    assert len(bar(share, width, drawn)) == width


def test_bars():
    assert bar(0.5, 4) == "██  "
    assert bar(0.0, 4) == "    "
    assert bar(0.001, 4) == "▏   "  # something is not nothing
    assert bar(0.5, 4, ASCII) == "##  "


def test_sparkline():
    assert sparkline([0, 0.5, 1], 5) == "  ▁▅█"
    assert sparkline([1] * 9, 3, ASCII) == "###"


def test_symbols_by_encoding():
    assert symbols("UTF-8") is UNICODE
    assert symbols("utf8") is UNICODE
    assert symbols("ascii") is ASCII
    assert symbols("iso-8859-1") is ASCII
