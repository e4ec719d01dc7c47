"""One text with all turns in it: who says what, and what a function returned."""

import pytest
from parts import MORE, SINGLE, SYSTEM, only, reason

from instructmining.layouts.columns import check_columns
from instructmining.layouts.detection import standardize

STYLES = {
    "hh": "\n\nHuman: Add 2 and 3.\n\nAssistant: 5\n\nHuman: And 4?\n\nAssistant: 9",
    "hh in lines": "Human: Add 2 and 3.\nAssistant: 5\nHuman: And 4?\nAssistant: 9",
    "user in lines": "User: Add 2 and 3.\nAssistant: 5\n\nUser: And 4?\nAssistant: 9\n",
    "vicuna": "USER: Add 2 and 3. ASSISTANT: 5</s>USER: And 4? ASSISTANT: 9</s>",
    "glaive": "USER: Add 2 and 3.\n\n\nASSISTANT: 5 <|endoftext|>\n\n\nUSER: And 4?\n\n\n"
    "ASSISTANT: 9 <|endoftext|>",
    "guanaco": "### Human: Add 2 and 3.### Assistant: 5### Human: And 4?\n### Assistant: 9",
    "chatml": "<|im_start|>user\nAdd 2 and 3.<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n"
    "<|im_start|>user\nAnd 4?<|im_end|>\n<|im_start|>assistant\n9<|im_end|>\n",
}


@pytest.mark.parametrize("text", STYLES.values(), ids=list(STYLES))
@pytest.mark.parametrize("name", ["chat", "text", "Conversation", "transcript", "prompt", "sample"])
def test_a_text_in_a_usual_style_is_read_as_turns(text: str, name: str) -> None:
    assert standardize({name: text, "source": "web"}) == ("transcript", [(None, MORE)])


def test_what_a_function_returned_is_not_in_the_assistants_mouth() -> None:
    chat = (
        'USER: Umbrella in Graz?\n\n\nASSISTANT: <functioncall> {"name": "weather"} '
        '<|endoftext|>\n\n\nFUNCTION RESPONSE: {"rain": true}\n\n\nASSISTANT: Yes. '
        "<|endoftext|>"
    )
    expected = [
        ("system", "You may call weather(city)."),
        ("user", "Umbrella in Graz?"),
        ("assistant", '<functioncall> {"name": "weather"}'),
        ("tool", '{"rain": true}'),
        ("assistant", "Yes."),
    ]
    record = {"system": "SYSTEM: You may call weather(city).", "chat": chat}
    assert [(each["role"], each["content"]) for each in only(record)] == expected
    columns = {"transcript": "chat", "user": "USER", "assistant": "ASSISTANT"}
    found = only(record, columns=columns)
    assert [(each["role"], each["content"]) for each in found] == expected[1:]
    named = {**columns, "tool": "FUNCTION RESPONSE", "system_field": "system"}
    found = only(record, columns=named)
    assert [(each["role"], each["content"]) for each in found] == expected
    other = {"chat": chat.replace("FUNCTION RESPONSE", "Ergebnis")}
    found = only(other, columns={**columns, "tool": "Ergebnis"})
    assert [(each["role"], each["content"]) for each in found] == expected[1:]


def test_the_system_field_and_the_tool_of_listed_turns_can_be_named() -> None:
    record = {
        "rules": "Be brief.",
        "t": [
            {"who": "C", "said": "Add 2 and 3."},
            {"who": "R", "said": "rain"},
            {"who": "A", "said": "5"},
        ],
    }
    columns = {
        "turns": "t",
        "role": "who",
        "content": "said",
        "user": "C",
        "assistant": "A",
        "tool": "R",
        "system_field": "rules",
    }
    assert only(record, columns=columns) == [
        SYSTEM,
        SINGLE[0],
        {"role": "tool", "content": "rain"},
        SINGLE[1],
    ]
    check_columns(columns)
    assert only({**record, "rules": None}, columns=columns)[0]["role"] == "user"


@pytest.mark.parametrize(
    "prompt",
    [
        "\n\nHuman: Add 2 and 3.\n\nAssistant: 5\n\nHuman: And 4?\n\nAssistant:",
        "USER: Add 2 and 3.\n\n\nASSISTANT: 5 <|endoftext|>\n\n\nUSER: And 4?\n\n\nASSISTANT: ",
        "### Human: Add 2 and 3.\n### Assistant: 5\n### Human: And 4?",
    ],
)
def test_a_prompt_that_holds_a_transcript_becomes_turns(prompt: str) -> None:
    assert only({"prompt": prompt, "completion": "9"}) == MORE
    assert only({"instruction": prompt, "input": "", "output": "9"}) == MORE


@pytest.mark.parametrize(
    "prompt",
    [
        "What does 'Human: hi\n\nAssistant: hello' mean?",  # does not begin with a speaker
        "\n\nHuman: q\n\nAssistant: The answer is",  # the response goes on with this turn
        "Human: only one speaks",
        "Assistant: nobody asks",
    ],
)
def test_a_prompt_that_only_quotes_a_transcript_stays_one_text(prompt: str) -> None:
    assert [each["content"] for each in only({"prompt": prompt, "response": "a"})] == [prompt, "a"]


def test_a_text_without_speakers_is_not_a_transcript() -> None:
    for text in ("hello", "ASSISTANT: I", "Human: hi", "", "### Instruction:\nq"):
        assert reason({"text": text})[0] == "unknown_format"
