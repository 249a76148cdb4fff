"""Text from strangers: nothing that moves, hides or turns around ever reaches a screen or a log."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import InputError
from protocol.text import check_shown_text, shown

HIDDEN = [
    "\x00",
    "\x07",
    "\x1b[31m",
    "\n",
    "\r",
    "\x7f",
    "\x9b",
    "\u202e",
    "\u2066",
    "\u2028",
    "\u200f",
    "\ufeff",
    "\u00ad",
]


@pytest.mark.parametrize(
    "text", ["a", "喫茶 ねこ", "2 coffees", "Müller & Söhne", "کافه\u200cنادری", "x" * 40]
)
def test_what_a_display_can_show_passes(text: str) -> None:
    assert check_shown_text(text, 40, "merchant_name") == text


BLANK = [
    "\u200d",
    "\u200c\u200d\u200c",
    "\u200d \u200d",
    "\u0301",
    "\ufe0f",
    "\u034f",
    "\u115f\u1160",
    "\u2800",
    "\u3164",
    "\uffa0\u200d",
    "\u2065",
    "\ufff5",
    "\U000e0085",
    "\u200d\u3000\u3164",
]


@pytest.mark.parametrize(
    "text", ["", " ", " a", "a ", "x" * 41, "\u3000a", *BLANK, *(f"a{hidden}b" for hidden in HIDDEN)]
)
def test_what_it_cannot_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError) as refusal:
        check_shown_text(text, 40, "merchant_name")
    assert refusal.value.code == "invalid_merchant_name"
    assert "merchant name" in str(refusal.value)


@given(st.text(), st.integers(1, 100))
def test_shown_text_is_short_visible_and_stable(text: str, longest: int) -> None:
    clean = shown(text, longest)
    assert len(clean) <= longest
    assert not {unicodedata.category(character) for character in clean} & {"Cc", "Cs", "Zl", "Zp"}
    assert shown(clean, longest) == clean


@pytest.mark.parametrize("text", [*BLANK, *HIDDEN[:2], " "])
def test_of_what_cannot_be_seen_nothing_is_shown(text: str) -> None:
    assert shown(text) == ""


@pytest.mark.parametrize("text", ["e\u0301", "क्‍ष", "\U0001f469‍\U0001f373", "-", "\ue000", "①", "\u3164a"])
def test_what_leaves_a_mark_is_shown_as_it_is(text: str) -> None:
    assert shown(text) == text
    assert check_shown_text(text, 40, "order") == text


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert shown("x" * 1_000_000, 5) == "xxxx…"
    assert shown("pay\x1b[2K now") == "pay[2K now"
