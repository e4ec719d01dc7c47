"""What the answer of a chat model to a question is worth: words, probabilities, scales."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.indicators.endpoint_chat import _first_word, _mean, _number, _yes
from udfs.running.text_indicator import Undefined


def choice(*places: tuple[str, dict[str, float]]) -> dict:
    content = [
        {
            "token": token,
            "top_logprobs": [
                {"token": word, "logprob": math.log(probability)}
                for word, probability in likeliest.items()
            ],
        }
        for token, likeliest in places
    ]
    return {"logprobs": {"content": content}}


def test_ways_of_writing_a_word_count_together() -> None:
    words = _first_word(
        choice(("Yes", {"Yes": 0.3, " yes": 0.2, "▁YES": 0.1, "Ġ**Yes": 0.1, "No": 0.2}))
    )
    assert words == {"yes": pytest.approx(0.7), "no": pytest.approx(0.2)}


def test_a_line_break_before_the_answer_is_no_answer() -> None:
    words = _first_word(choice(("\n", {"\n": 1.0}), ("Ċ", {"Ċ": 1.0}), ("4", {"4": 0.9, "5": 0.1})))
    assert words == {"4": pytest.approx(0.9), "5": pytest.approx(0.1)}


@pytest.mark.parametrize("reply", [{}, {"logprobs": None}, {"logprobs": {"content": None}}])
def test_a_server_without_probabilities_gives_no_words(reply) -> None:
    assert _first_word(reply) == {}


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_share_of_yes_leaves_other_words_out(yes, no) -> None:
    assert _yes({"yes": yes, "no": no, "maybe": 0.4}, "") == pytest.approx(yes / (yes + no))


@pytest.mark.parametrize(
    ("text", "value"), [("Yes, it is.", 1.0), ("**No**", 0.0), ("\n yes", 1.0), ("NO!", 0.0)]
)
def test_without_probabilities_the_first_word_of_the_text_counts(text, value) -> None:
    assert _yes({}, text) == value


@pytest.mark.parametrize("text", ["", "Nobody knows", "yesterday", "Well, yes", "はい"])
def test_another_answer_has_no_value_and_says_why(text) -> None:
    assert isinstance(_yes({}, text), Undefined)
    assert isinstance(_yes({"maybe": 1.0}, "yes"), Undefined)


@given(st.dictionaries(st.integers(0, 9), st.floats(0.01, 1), min_size=1))
def test_a_scale_is_the_mean_of_its_numbers_by_their_probability(drawn) -> None:
    likeliest = {str(number): probability for number, probability in drawn.items()}
    inside = {number: p for number, p in drawn.items() if 1 <= number <= 5}
    value = _mean({**likeliest, "the": 0.5}, 1, 5)
    if not inside:
        assert isinstance(value, Undefined)
    else:
        expected = sum(n * p for n, p in inside.items()) / sum(inside.values())
        assert value == pytest.approx(expected)
        assert 1 <= value <= 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7.0),
        ("Score: 7.5/10", 7.5),
        ("I'd say 10", 10.0),
        ("-3", None),
        ("11", None),
        ("", None),
    ],
)
def test_the_first_number_of_a_text_counts_where_the_scale_holds_it(text, value) -> None:
    got = _number(text, 0, 10)
    assert got == value if value is not None else isinstance(got, Undefined)
