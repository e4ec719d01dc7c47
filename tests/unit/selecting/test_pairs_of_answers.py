"""A chosen and a rejected conversation as prompt, chosen and rejected; by turns, never by text."""

from hypothesis import given
from hypothesis import strategies as st

from instructmining.selecting.export_pairs import preference_of

TURNS = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(max_size=6)),
    min_size=1,
    max_size=6,
).map(lambda turns: [{"role": role, "content": content} for role, content in turns])


@given(TURNS, TURNS, TURNS)
def test_prompt_and_ends_are_the_two_conversations_and_neither_end_is_empty(shared, one, other):
    chosen, rejected = shared + one, shared + other
    pair = preference_of(chosen, rejected)
    assert pair["prompt"] + pair["chosen"] == chosen
    assert pair["prompt"] + pair["rejected"] == rejected
    assert pair["chosen"]
    assert pair["rejected"]
    assert len(pair["prompt"]) >= min(len(shared), len(chosen) - 1, len(rejected) - 1)


@given(TURNS)
def test_two_equal_conversations_share_all_but_their_last_turn(turns):
    pair = preference_of(turns, turns)
    assert (pair["prompt"], pair["chosen"], pair["rejected"]) == (
        turns[:-1],
        turns[-1:],
        turns[-1:],
    )


def test_what_else_a_turn_holds_is_not_written():
    turn = {"role": "user", "content": "q", "chat": {"name": "Ann"}}
    answers = [{"role": "assistant", "content": text} for text in ("good", "bad")]
    pair = preference_of([turn, answers[0]], [turn, answers[1]])
    assert pair == {
        "prompt": [{"role": "user", "content": "q"}],
        "chosen": answers[:1],
        "rejected": answers[1:],
    }
