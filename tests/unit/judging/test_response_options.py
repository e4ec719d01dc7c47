"""What a model chooses from where prompts have no options."""

from hypothesis import given
from hypothesis import strategies as st

from instructmining.judging.response_options import OPTIONS, response_options


def test_options_are_the_own_response_and_three_others_of_like_length():
    responses = ["word " * n for n in range(1, 9)]
    options = response_options(responses)
    assert [one[0] for one in options] == responses
    assert {len(text) // 5 for text in options[4]} <= {3, 4, 5, 6, 7}
    assert {len(text) // 5 for text in options[0]} == {1, 2, 3, 4}


@given(st.lists(st.text(max_size=6), min_size=1, max_size=12))
def test_no_option_is_offered_twice_and_the_own_response_always(responses):
    options = response_options(responses)
    for own, offered in zip(responses, options, strict=True):
        assert offered[0] == own
        assert len(set(offered)) == len(offered)
        assert len(offered) == min(OPTIONS, len(set(responses)))
        assert set(offered) <= set(responses)
