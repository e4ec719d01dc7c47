"""What goes with a target, and what does not."""

import pytest

from instructmining.errors import UserError
from instructmining.settings.learning import Select
from jobs.selecting.for_target import refuse_half_a_target

TARGET = {"strategy": "target", "target": "wanted.jsonl"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"strategy": "target"}, "--strategy target and --target DATA go together"),
        ({"target": "wanted.jsonl"}, "go together: give both or neither"),
        ({**TARGET, "percentile": 0.1}, "knows no --percentile: give --top or --tokens"),
        ({**TARGET, "per_source": 9}, "knows no --per-source"),
        ({**TARGET, "quota": {"a": 9}}, "knows no --quota"),
        ({**TARGET, "against": "paper-v2"}, "knows no --against"),
        ({**TARGET, "diversity": "cosine"}, "leave out --diversity"),
    ],
)
def test_settings_that_do_not_go_with_a_target_are_refused_by_name(wrong, sentence):
    with pytest.raises(UserError, match=sentence):
        refuse_half_a_target(Select(**wrong))


def test_a_target_goes_with_a_size_and_a_selection_without_one_is_as_before():
    refuse_half_a_target(Select(**TARGET, top=9, threshold=0.2, whiten=True))
    refuse_half_a_target(Select(**TARGET, tokens=900))
    refuse_half_a_target(Select(top=9, quota={"a": 9}))
