"""Trees of messages, and questions and answers of two files."""

from parts import MORE, SINGLE, found_or_reason, only, reason

from instructmining.layouts.detection import Part, standardize


def message(name, role, *replies, **fields):
    return {"message_id": name, "role": role, "text": name, "replies": list(replies), **fields}


def tree(*replies):
    return {"message_tree_id": "t", "prompt": message("q", "prompter", *replies)}


TREE = tree(
    message("a", "assistant", message("thanks", "prompter"), rank=None),
    message(
        "b",
        "assistant",
        message(
            "more",
            "prompter",
            message("c", "assistant", rank=1),
            message("d", "assistant", message("bye", "prompter"), rank=0),
        ),
        rank=2,
    ),
    message("x", "assistant", rank=0, deleted=True),
    message(
        "e",
        "assistant",
        message("why", "prompter", message("y", "assistant", deleted=True)),
        rank=3,
    ),
)


def test_a_tree_has_one_conversation_for_each_assistant_message_without_another_below() -> None:
    assert found_or_reason(standardize(TREE)[1]) == {
        "a": ["q", "a"],
        "c": ["q", "b", "more", "c"],
        "d": ["q", "b", "more", "d"],
        "e": ["q", "e"],
    }


def test_the_best_path_takes_the_lowest_rank_and_null_last() -> None:
    assert found_or_reason(standardize(TREE, best_path=True)[1]) == {"d": ["q", "b", "more", "d"]}
    unranked = tree(message("a", "assistant"), message("b", "assistant", rank=float("nan")))
    assert found_or_reason(standardize(unranked, best_path=True)[1]) == {"a": ["q", "a"]}


def test_bad_messages_of_a_tree_spoil_only_the_paths_through_them() -> None:
    grown = tree(
        message("a", "narrator", message("b", "assistant")),
        message("c", "assistant"),
        message("d", "assistant", text=None),
        message("e\ud800", "assistant"),
    )
    found = found_or_reason(standardize(grown)[1])
    assert list(found) == ["b", "c", "d", "e\\ud800"]
    assert (found["b"], found["c"], found["d"]) == ("unknown_role", ["q", "c"], "missing_field")
    assert found["e\\ud800"] == "invalid_unicode"


def test_a_tree_without_an_answer_cannot_be_used() -> None:
    assert reason(tree(message("a", "prompter")))[0] == "no_response"
    assert reason(tree(message("a", "assistant", deleted=True)))[0] == "no_response"
    assert reason(tree("text"))[0] == "wrong_type"
    assert reason({"message_tree_id": "t", "prompt": {"replies": {"a": 1}}})[0] == "wrong_type"


def test_a_tree_may_be_hundreds_deep_and_thousands_wide() -> None:
    node = message("0", "assistant", *(message(f"w{i}", "assistant") for i in range(3000)))
    for depth in range(1, 400):
        node = message(str(depth), "assistant" if depth % 2 == 0 else "prompter", node)
    name, parts = standardize({"message_tree_id": "t", "prompt": node})
    assert (name, len(parts)) == ("oasst", 3000)
    assert {len(part.found) for part in parts} == {401}


def bench(asked, *choices, **answer):
    return {
        "question": {"question_id": 1, "turns": asked},
        "answer": {"choices": [{"turns": said} for said in choices], **answer},
    }


def test_questions_and_answers_of_mt_bench_take_turns() -> None:
    asked = ["Add 2 and 3.", {"content": "And 4?"}]
    assert only(bench(asked, ["5", "9"])) == MORE
    assert only(bench(asked, [{"content": "5"}])) == SINGLE
    assert standardize(bench(asked, ["5"], model_id="m"))[1] == [Part("m", SINGLE)]
    several = standardize(bench(asked, ["5"], [], ["5", "9", "1"], "text", model_id="m"))[1]
    assert found_or_reason(several) == {
        "0": ["Add 2 and 3.", "5"],
        "1": "no_response",
        "2": "wrong_type",
        "3": "wrong_type",
    }


def test_half_of_mt_bench_asks_for_the_other_file() -> None:
    whole = bench(["q"], ["a"])
    question = whole["question"]
    answer = {"question_id": 1, **whole["answer"]}
    for half in ({**whole, "answer": None}, question, {**question, "turns": [{"content": "q"}]}):
        assert reason(half)[0] == "no_response"
    for half in ({**whole, "question": None}, answer):
        assert reason(half)[0] == "no_question"
        assert "files of both" in reason(half)[1]
