"""What is written in a layout reads as the same conversation."""

import json

import pytest

from instructmining.errors import UserError
from instructmining.layouts.detection import standardize
from instructmining.layouts.writing import LAYOUTS, record_of

SYSTEM = {"role": "system", "content": "Be brief."}
ONE = [{"role": "user", "content": "Add 2 and 3."}, {"role": "assistant", "content": "5 »né« 🌞\n"}]
CASES = {
    "one exchange": ONE,
    "a system prompt": [SYSTEM, *ONE],
    "a question that is only a system prompt": [SYSTEM, {"role": "user", "content": ""}, ONE[1]],
    "two exchanges": [*ONE, *ONE],
    "a tool": [*ONE, {"role": "tool", "content": "7"}, ONE[1]],
    "the assistant goes first": [ONE[1], *ONE],
}
ABLE = {
    "one exchange": {"alpaca", "dolly", "pairs", "sharegpt", "messages"},
    "a system prompt": {"alpaca", "pairs", "sharegpt", "messages"},
    "a question that is only a system prompt": {"alpaca", "pairs", "sharegpt", "messages"},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_gives_the_same_conversation_back_or_says_which_can(layout: str, case: str):
    able = ABLE.get(case, {"sharegpt", "messages"})
    if layout in able:
        written = json.loads(json.dumps(record_of(CASES[case], layout)))
        name, [(label, found)] = standardize(written)
        assert (name, label, found) == (layout, None, CASES[case])
    else:
        with pytest.raises(UserError) as caught:
            record_of(CASES[case], layout)
        assert caught.value.args[0].endswith(", ".join(name for name in LAYOUTS if name in able))
        assert "\n" not in caught.value.args[0]


def test_what_is_written_has_the_fields_that_other_tools_expect():
    written = {name: record_of([SYSTEM, *ONE], name) for name in ("alpaca", "pairs", "sharegpt")}
    answer = ONE[1]["content"]
    assert written["alpaca"] == {
        "instruction": "Add 2 and 3.",
        "input": "",
        "output": answer,
        "system": "Be brief.",
    }
    assert written["pairs"] == {
        "prompt": "Add 2 and 3.",
        "completion": answer,
        "system": "Be brief.",
    }
    assert written["sharegpt"]["conversations"][1] == {"from": "human", "value": "Add 2 and 3."}
    assert record_of(ONE, "dolly") == {
        "instruction": "Add 2 and 3.",
        "context": "",
        "response": answer,
    }


def test_the_record_is_a_copy():
    record = record_of(ONE, "messages")
    record["messages"][0]["content"] = "changed"
    assert ONE[0]["content"] == "Add 2 and 3."


def test_a_layout_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(UserError, match=r"'alpacca'.*alpaca, dolly, pairs, sharegpt, messages"):
        record_of(ONE, "alpacca")
