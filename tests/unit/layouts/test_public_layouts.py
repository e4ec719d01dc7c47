"""Records of public data sets in the layouts that their cards document; the texts are made up."""

import pytest
from parts import found_or_reason

from instructmining.layouts.detection import standardize

SHAREGPT = [
    {"from": "system", "value": "Be kind."},
    {"from": "human", "value": "Why 雨?"},
    {"from": "gpt", "value": "Clouds cool."},
]
CHAT = [{"role": "user", "content": "Why 雨?"}, {"role": "assistant", "content": "Clouds cool."}]
OTHER = {"role": "assistant", "content": "No."}
TURNS = ["Why 雨?", "Clouds cool."]
FUNCTIONS = 'SYSTEM: You may call: {"name": "weather"}'
TALK = (
    'USER: Rain?\n\n\nASSISTANT: <functioncall> {"name": "weather"} <|endoftext|>\n\n\n'
    'FUNCTION RESPONSE: {"mm": 4}\n\n\nASSISTANT: Yes. <|endoftext|>\n\n\n'
)
TREE = {
    "message_tree_id": "m1",
    "tree_state": "ready_for_export",
    "prompt": {
        "message_id": "m1",
        "parent_id": None,
        "text": "Why 雨?",
        "role": "prompter",
        "replies": [
            {
                "message_id": "m2",
                "parent_id": "m1",
                "text": "Clouds cool.",
                "role": "assistant",
                "rank": 0,
                "replies": [],
            }
        ],
    },
}
RECORDS = {
    # teknium/OpenHermes-2.5
    "OpenHermes": (
        {
            "custom_instruction": None,
            "topic": None,
            "model_name": None,
            "skip_prompt_formatting": False,
            "category": "orca",
            "conversations": SHAREGPT,
            "source": "airoboros2.2",
            "id": None,
        },
        "sharegpt",
        {None: ["Be kind.", *TURNS]},
    ),
    # stingning/ultrachat, HuggingFaceH4/ultrachat_200k
    "UltraChat": (
        {"id": "0", "data": [*TURNS, "And snow?", "Colder."]},
        "turns",
        {None: [*TURNS, "And snow?", "Colder."]},
    ),
    "UltraChat 200k": (
        {"prompt": "Why 雨?", "prompt_id": "f0", "messages": CHAT},
        "messages",
        {None: TURNS},
    ),
    # allenai/tulu-3-sft-mixture
    "Tulu-3": (
        {"id": "oasst1_1", "messages": CHAT, "source": "ai2-adapt-dev/oasst1"},
        "messages",
        {None: TURNS},
    ),
    # AI-MO/NuminaMath-CoT, NuminaMath-1.5
    "NuminaMath": (
        {
            "source": "synthetic_math",
            "problem": "Why 雨?",
            "solution": "Clouds cool.",
            "messages": CHAT,
        },
        "messages",
        {None: TURNS},
    ),
    "NuminaMath-1.5": (
        {
            "problem": "12 / 4?",
            "solution": "12 / 4 = 3, so it is 3.",
            "answer": "3",
            "problem_type": "Algebra",
            "question_type": "math-word-problem",
            "problem_is_valid": "Yes",
            "solution_is_valid": "Yes",
            "source": "olympiads",
            "synthetic": False,
        },
        "pairs",
        {None: ["12 / 4?", "12 / 4 = 3, so it is 3."]},
    ),
    # Open-Orca/SlimOrca: turns with weights
    "SlimOrca": (
        {
            "conversations": [
                {
                    **turn,
                    "weight": None if turn["from"] == "system" else float(turn["from"] == "gpt"),
                }
                for turn in SHAREGPT
            ]
        },
        "sharegpt",
        {None: ["Be kind.", *TURNS]},
    ),
    # LDJnr/Capybara
    "Capybara": (
        {
            "source": "Airoboros",
            "conversation": [
                {"input": "Why 雨?", "output": "Clouds cool."},
                {"input": "And snow?", "output": "Colder."},
            ],
        },
        "sharegpt",
        {None: [*TURNS, "And snow?", "Colder."]},
    ),
    # glaiveai/glaive-function-calling-v2
    "Glaive": (
        {"system": FUNCTIONS, "chat": TALK},
        "transcript",
        {
            None: [
                'You may call: {"name": "weather"}',
                "Rain?",
                '<functioncall> {"name": "weather"}',
                '{"mm": 4}',
                "Yes.",
            ]
        },
    ),
    # openbmb/UltraFeedback, HuggingFaceH4/ultrafeedback_binarized
    "UltraFeedback": (
        {
            "source": "evol_instruct",
            "instruction": "Why 雨?",
            "models": ["a", "b"],
            "completions": [
                {
                    "annotations": {},
                    "custom_system_prompt": "Be kind.",
                    "model": "a",
                    "principle": "helpfulness",
                    "response": "Clouds cool.",
                    "critique": "Good.",
                    "overall_score": 9.0,
                },
                {
                    "annotations": {},
                    "custom_system_prompt": "Be kind.",
                    "model": "b",
                    "principle": "honesty",
                    "response": "No.",
                    "critique": "Bad.",
                    "overall_score": 1.0,
                },
            ],
            "correct_answers": ["None"],
            "incorrect_answers": ["None"],
        },
        "completions",
        {"a": TURNS, "b": ["Why 雨?", "No."]},
    ),
    "UltraFeedback binarized": (
        {
            "prompt": "Why 雨?",
            "prompt_id": "f0",
            "chosen": CHAT,
            "rejected": [CHAT[0], OTHER],
            "messages": CHAT,
            "score_chosen": 9.0,
            "score_rejected": 1.0,
        },
        "preference",
        {"chosen": TURNS, "rejected": ["Why 雨?", "No."]},
    ),
    # OpenAssistant/oasst2: the trees; its rows of messages are joined, see test_trees
    "oasst2": (TREE, "oasst", {"m2": TURNS}),
    # Muennighoff/flan, Muennighoff/natural-instructions, and its tasks as files
    "FLAN": (
        {"inputs": "Why 雨?", "targets": "Clouds cool.", "task": "cot_rain"},
        "pairs",
        {None: TURNS},
    ),
    "Natural Instructions": (
        {
            "task_name": "task1",
            "id": "task1-1",
            "definition": "Say why.",
            "inputs": "雨",
            "targets": "Clouds cool.",
        },
        "pairs",
        {None: ["Say why.\n\n雨", "Clouds cool."]},
    ),
    "a task of Natural Instructions": (
        {
            "Contributors": ["x"],
            "Source": ["y"],
            "Categories": ["z"],
            "Definition": ["Say why."],
            "Positive Examples": [{"input": "wind", "output": "Heat.", "explanation": "e"}],
            "Instances": [{"id": "1", "input": "雨", "output": ["Clouds cool."]}],
        },
        "self_instruct",
        {None: ["Say why.\n\n雨", "Clouds cool."]},
    ),
}


@pytest.mark.parametrize("name", list(RECORDS))
def test_a_record_of_a_public_data_set_is_read_as_its_card_says(name: str) -> None:
    record, layout, expected = RECORDS[name]
    found, parts = standardize(record)
    assert (found, found_or_reason(parts)) == (layout, expected)


def test_what_the_function_returned_is_a_turn_of_the_tool_in_glaives_records() -> None:
    record, _, _ = RECORDS["Glaive"]
    [(_, turns)] = standardize(record)[1]
    assert [turn["role"] for turn in turns] == ["system", "user", "assistant", "tool", "assistant"]
