"""The sizes that a card of the hub names."""

import pytest

from instructmining.hub.folders import size_category
from instructmining.selecting.export_pairs import preference_of


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (250_000, "100K<n<1M"),
        (5_000_000_000, "1B<n<10B"),
    ],
)
def test_a_size_has_the_name_that_the_hub_gives_it(rows: int, name: str):
    assert size_category(rows) == name


def test_a_pair_begins_with_all_turns_that_both_answers_share():
    first = [{"role": "user", "content": "q"}, {"role": "assistant_context", "content": "hm"}]
    again = {"role": "user", "content": "again"}
    answers = [{"role": "assistant", "content": text} for text in ("yes", "no")]
    chosen, rejected = ([*first, again, answer] for answer in answers)
    pair = preference_of(chosen, rejected)
    assert [turn["content"] for turn in pair["prompt"]] == ["q", "hm", "again"]
    assert [turn["role"] for turn in pair["prompt"]] == ["user", "assistant", "user"]
    assert (pair["chosen"], pair["rejected"]) == ([answers[0]], [answers[1]])
