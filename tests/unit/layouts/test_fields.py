"""Which field is the prompt, which the response: chosen by what else the record has."""

import json

import pytest
from parts import found_or_reason, only, reason

from instructmining.layouts.detection import kept_beside, prompt_and_response, standardize
from instructmining.layouts.standard_form import standard_rows
from instructmining.settings.sections import Read


def asked_and_said(record) -> tuple[str, str]:
    return prompt_and_response(only(record))


@pytest.mark.parametrize("name", ["problem", "request", "human", "Question", "inputs"])
@pytest.mark.parametrize("label", ["source", "user", "text", "id"])
def test_a_label_is_no_prompt_beside_a_prompt(name: str, label: str) -> None:
    record = {label: "olympiads", name: "Wie viele? 几个", "answer": "30"}
    assert asked_and_said(record) == ("Wie viele? 几个", "30")
    assert asked_and_said(dict(reversed(record.items()))) == ("Wie viele? 几个", "30")


def test_a_label_asks_where_nothing_else_does_and_never_for_a_blank_prompt() -> None:
    assert asked_and_said({"source": "Guten Tag", "target": "Good day"}) == (
        "Guten Tag",
        "Good day",
    )
    assert asked_and_said({"text": "Sum 2 and 3.", "response": "5"}) == ("Sum 2 and 3.", "5")
    assert reason({"prompt": " ", "source": "web", "answer": "5"})[0] == "blank_prompt"


@pytest.mark.parametrize("order", [1, -1])
def test_of_labels_the_counterpart_of_the_answer_asks(order: int) -> None:
    labels = {"source": "Guten Tag", "user": "Tell me.", "text": "Sum it."}
    for answer, prompt in (("target", "source"), ("assistant", "user"), ("response", "text")):
        record = {**labels, answer: "a"}
        assert asked_and_said(dict([*record.items()][::order])) == (labels[prompt], "a")


def test_the_answer_key_of_options_and_options_as_one_text_are_read() -> None:
    record = {"question": "Which melts?", "choices": ["iron", "ice", "盐"], "answerKey": "B"}
    assert asked_and_said(record) == (LETTERED, "B")
    record = {"Problem": "Which?", "options": "a ) 38 , b ) 27", "correct_answer": "a"}
    assert asked_and_said(record) == ("Which?\n\na ) 38 , b ) 27", "a")


WORKED = "12 / 4 = 3. So each part is 3 m long."


@pytest.mark.parametrize(
    "record",
    [
        {"question": "q", "solution": WORKED, "answer": "3"},
        {"problem": "q", "answer": 3, "solution": WORKED, "source": "olympiads"},
        {"problem": "q", "expected_answer": "3", "generated_solution": WORKED},
        {"Problem": "q", "Final_Answer": "3", "Solution": WORKED},
        {"instruction": "q", "input": "", "answer": "3", "solution": WORKED},
    ],
)
def test_the_worked_answer_is_the_response_and_the_short_one_is_kept(record) -> None:
    assert asked_and_said(record) == ("q", WORKED)
    row = {
        "raw": json.dumps(record).encode(),
        "source": "f",
        "position": 1,
        "records": 1,
        "reason": None,
        "detail": None,
    }
    [found] = standard_rows(row, Read().model_dump())
    [(name, kept)] = found["kept"]
    assert (name.rpartition("_")[2], kept) == ("answer", "3")


def test_a_solution_that_says_less_than_the_answer_is_not_the_response() -> None:
    for solution in ("", None, "3"):
        record = {"question": "q", "solution": solution, "answer": WORKED}
        assert asked_and_said(record) == ("q", WORKED)
        assert kept_beside(record, "pairs") == {}


def test_what_a_task_defines_is_asked_before_its_input() -> None:
    record = {
        "id": "task1-1",
        "task_name": "t",
        "definition": "Say yes or no.",
        "inputs": "Bread rises.",
        "targets": "yes",
    }
    assert asked_and_said(record) == ("Say yes or no.\n\nBread rises.", "yes")
    record = {"definition": ["Say yes or no."], "input": "Bread rises.", "output": ["yes"]}
    assert asked_and_said(record) == ("Say yes or no.\n\nBread rises.", "yes")
    # A dictionary has definitions too; there the question is what is asked.
    assert asked_and_said({"question": "q", "definition": "d", "answer": "a"})[0] == "q"


def test_a_task_of_natural_instructions_gives_a_row_per_instance() -> None:
    record = {
        "Definition": ["Say yes or no."],
        "Positive Examples": [],
        "Instances": [
            {"id": "1", "input": "Bread rises.", "output": ["yes"]},
            {"id": "2", "input": "", "output": ["no", "nein"]},
        ],
    }
    assert found_or_reason(standardize(record)[1]) == {
        "1": ["Say yes or no.\n\nBread rises.", "yes"],
        "2": ["Say yes or no.", "no\nnein"],
    }


def test_parts_join_the_prompt_in_the_order_of_the_page() -> None:
    record = {
        "input": "When?",
        "context": "Built in 1871.",
        "instruction": "Answer.",
        "output": "In 1871.",
    }
    assert asked_and_said(record)[0] == "Answer.\n\nBuilt in 1871.\n\nWhen?"
    for name in ("passage", "article", "document", "Context"):
        record = {"question": "When?", name: "Built in 1871.", "answer": "1871"}
        assert asked_and_said(record)[0] == "When?\n\nBuilt in 1871.", name
    record = {
        "instruction": "Explain the code.",
        "code": "x = 1\ny = 2",
        "input": None,
        "output": "It sets two names.",
    }
    assert asked_and_said(record)[0] == "Explain the code.\n\nx = 1\ny = 2"


def test_a_code_of_a_language_and_a_passage_that_is_there_already_are_not_joined() -> None:
    assert asked_and_said({"question": "Wo?", "code": "de", "answer": "Hier."})[0] == "Wo?"
    record = {"prompt": "Read: Built in 1871. When?", "passage": "Built in 1871.", "answer": "1871"}
    assert asked_and_said(record)[0] == "Read: Built in 1871. When?"


LETTERED = "Which melts?\n\nA) iron\nB) ice\nC) 盐"


@pytest.mark.parametrize(
    "options",
    [
        {"options": ["A) iron", "B) ice", "C) 盐"]},
        {"choices": ["iron", "ice", "盐"]},
        {"options": {"A": "iron", "B": "ice", "C": "盐"}},
        {"Choices": {"Text": ["iron", "ice", "盐"], "Label": ["A", "B", "C"]}},
        {"choices": {"text": ["iron", "ice", "盐"], "label": ["A", "B", "C"]}},
        {
            "choices": [
                {"label": "A", "text": "iron"},
                {"label": "B", "text": "ice"},
                {"label": "C", "text": "盐"},
            ]
        },
        {"A": "iron", "B": "ice", "C": "盐", "D": None},
        {"option_a": "iron", "option_b": "ice", "option_c": "盐"},
        {"opa": "iron", "opb": "ice", "opc": "盐", "opd": ""},
    ],
)
def test_options_stand_below_the_question(options) -> None:
    record = {"question": "Which melts?", **options, "answer": "B"}
    assert asked_and_said(record) == (LETTERED, "B")
    assert asked_and_said({"instruction": "Which melts?", **options, "output": "B"})[0] == LETTERED


def test_an_answer_that_counts_the_options_becomes_their_letter() -> None:
    record = {"question": "Which melts?", "choices": ["iron", "ice", "盐"], "answer": 1}
    assert asked_and_said(record) == (LETTERED, "B")
    record = {"question": "How many?", "choices": ["3", "1", "7"], "answer": 1}
    assert asked_and_said(record)[1] == "1"  # the option itself
    record = {"question": "Which?", "option1": "ice", "option2": "iron", "answer": "1"}
    assert asked_and_said(record) == ("Which?\n\n1) ice\n2) iron", "1")


def test_a_number_or_a_country_that_opens_an_option_is_no_letter() -> None:
    for options in (["3.5 km", "4.5 km"], ["U.S. law", "common law"]):
        record = {"question": "Which?", "options": options, "answer": "B"}
        assert asked_and_said(record)[0] == f"Which?\n\nA) {options[0]}\nB) {options[1]}"
    record = {"question": "Which?", "options": ["1. ice", "2. iron"], "answer": 1}
    assert asked_and_said(record) == ("Which?\n\n1. ice\n2. iron", "1")


def test_options_that_the_question_names_are_not_repeated() -> None:
    record = {
        "question": "Which melts? (A) iron (B) ice",
        "options": ["iron", "ice"],
        "answer": "B",
    }
    assert asked_and_said(record)[0] == "Which melts? (A) iron (B) ice"
    for other in ({"options": None}, {"options": []}, {"options": {"speed": [1]}}):
        assert asked_and_said({"question": "q", **other, "answer": "a"}) == ("q", "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (42, "42"),
        (7.0, "7"),
        (0.5, "0.5"),
        (True, "true"),
        (["a", "b", 3], "a\nb\n3"),
        (["yes"], "yes"),
        ({"text": ["1871", "in 1871"], "answer_start": [3, 0]}, "1871"),
    ],
)
def test_answers_that_are_not_text_become_text(value, text: str) -> None:
    assert asked_and_said({"question": "q", "answer": value}) == ("q", text)
    assert asked_and_said({"instruction": "q", "output": value}) == ("q", text)


def test_a_number_that_is_none_is_no_text() -> None:
    nan, infinite = float("nan"), float("inf")
    assert reason({"instruction": nan, "output": "a"})[0] == "blank_prompt"
    assert reason({"instruction": "q", "output": nan})[0] == "blank_response"
    assert reason({"instruction": "q", "output": infinite})[0] == "wrong_type"
    assert reason({"instruction": "q", "output": [[1]]})[0] == "wrong_type"
    assert asked_and_said({"question": "q", "answer": 1e300})[1] == "1e+300"
    assert asked_and_said({"question": "q", "answer": -3.0})[1] == "-3"


def test_a_blank_field_hides_no_full_one() -> None:
    for blank in ("", "  \n", None, [], float("nan")):
        record = {
            "system": blank,
            "system_prompt": "Talk.",
            "prompt": blank,
            "question": "q",
            "context": blank,
            "input": "i",
            "response": blank,
            "answer": "a",
            "history": blank,
        }
        assert [each["content"] for each in only(record)] == ["Talk.", "q\n\ni", "a"]
    for empty in ("messages", "conversations", "instances", "history", "chosen"):
        record = {empty: [], "instruction": "q", "output": "a"}
        assert asked_and_said(record) == ("q", "a"), empty
    assert reason({"messages": []})[0] == "no_response"


def test_the_history_of_a_cell_of_text_is_read() -> None:
    for blank in ("[]", "", " ", "null", "None", "nan"):
        assert asked_and_said({"instruction": "q", "output": "a", "history": blank}) == ("q", "a")
    record = {"instruction": "q", "output": "a", "history": '[["b", "c"]]'}
    assert [each["content"] for each in only(record)] == ["b", "c", "q", "a"]


def test_a_system_message_of_null_is_none() -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    for null in ({"role": "system", "content": None}, {"from": "System"}):
        assert only({"messages": [null, *turns]}) == turns
    assert reason({"messages": [turns[0], {"role": "assistant", "content": None}]})
