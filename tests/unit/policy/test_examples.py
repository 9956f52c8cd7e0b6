"""How much of a payload may be seen."""

from hypothesis import given
from hypothesis import strategies as st

from shadow_provider.policy.examples import Examples


def test_by_default_no_payload_is_shown() -> None:
    assert Examples().shown("secret") is None
    assert Examples(show="answers").shown(None) is None


def test_what_a_mask_matches_is_never_shown() -> None:
    shown = Examples(show="answers", mask=(r"\d{4}", "(?i)name: \\w+")).shown("Name: Jo, 1234 5678")
    assert shown == "***, *** ***"


def test_an_answer_is_cut() -> None:
    assert Examples(show="answers", longest=10).shown("a" * 11) == "a" * 9 + "…"
    assert Examples(show="answers", longest=10).shown("a" * 10) == "a" * 10


@given(st.integers(1, 400), st.integers(10, 20))
def test_a_cut_never_shows_half_of_what_a_mask_would_have_hidden(before: int, longest: int) -> None:
    examples = Examples(show="answers", mask=("x+", r"\d{8}"), longest=longest)
    shown = examples.shown("x" * before + "12345678" * 100)
    assert shown is not None
    assert not set(shown) & set("12345678")
    assert len(shown) <= longest
