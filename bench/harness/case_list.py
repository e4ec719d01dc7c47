"""What each input of `bench.cases` must give: in words, and the check of it."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.harness.case_checks import (
    BASIL,
    FRUITS,
    byte_columns,
    comma_columns,
    content_blocks,
    edited,
    empty_history,
    erased,
    field_hints,
    label_false,
    masked_turns,
    null_system,
    number_answers,
    pictures,
    prompts_hold,
    quota_of_a_name,
    reads,
    reads_or_says,
    reasoning_field,
    saved_dataset,
    says,
    short_answer,
    snapshot_table,
    source_label,
    tool_calls,
    tool_turns,
    tools_differ,
    transcript_with_functions,
    turn_pairs,
)
from bench.harness.trial import Trial, words


@dataclass(frozen=True)
class Case:
    """One input: its name in the folder, what must come of it, and the check."""

    name: str
    expected: str
    is_right: Callable[[Trial], bool]
    arguments: tuple[str, ...] = ()


CASES = [
    Case(
        "source_label.jsonl",
        "4 examples: the question is the prompt, not the label `source`",
        source_label,
    ),
    Case("short_answer.jsonl", "2 examples: the worked solution is the response", short_answer),
    Case(
        "backslash_quotes.csv",
        "4 pairs with their quotes and line breaks",
        reads(
            ('Tell me about "Emma".', "It was written by Jane Austen."),
            (
                "Write two lines.",
                'She said "go" and left.\nThe door fell shut, and nobody came back.',
            ),
            ("Plain question.", "A plain answer."),
            ("Give me JSON.", '{"fruit": "cherry",\n "colour": "red", "sour": true}'),
        ),
    ),
    Case(
        "byte_columns.parquet",
        "2 examples, or 2 rows refused because the column holds bytes",
        byte_columns,
    ),
    Case("nan_input.parquet", "2 examples: NaN is null", reads(*FRUITS)),
    Case("nan_input.jsonl", "2 examples: NaN is null", reads(*FRUITS)),
    Case(
        "tool_turns.jsonl",
        "31 examples scored by the default models, the same code 0 twice",
        tool_turns,
    ),
    Case(
        "tool_calls.jsonl",
        "3 examples with the calls in their turns, or refused for the calls",
        tool_calls,
    ),
    Case(
        "tools_differ.jsonl",
        "2 examples; exports keep the tools or say that they cannot",
        tools_differ,
    ),
    Case(
        "reasoning_field.jsonl",
        "2 examples with their reasoning, or the field is named unread",
        reasoning_field,
    ),
    Case(
        "masked_turns.jsonl",
        "Graz. and No, it is Innsbruck. alone are responses; 1 refused",
        masked_turns,
    ),
    Case(
        "definition_field.jsonl",
        "the prompt has definition and inputs",
        prompts_hold(("Say whether the sentence", "Bread rises")),
    ),
    Case(
        "choices.jsonl",
        "the prompt has the question and its options",
        prompts_hold(("Which of these melts", "iron", "ice", "salt", "glass")),
    ),
    Case(
        "context_and_input.jsonl",
        "2 prompts with instruction, context and input",
        prompts_hold(
            ("Answer from", "1871", "When was the mill"),
            ("Answer from", "1902", "When was the bridge"),
        ),
    ),
    Case("pictures.jsonl", "2 examples, and pictures are named as not read", pictures),
    Case("pandas_times.parquet", "2 examples; the column of times costs nothing", reads(*FRUITS)),
    Case(
        "messages_as_text.parquet",
        "2 examples, or a reason that names JSON in text",
        reads_or_says(FRUITS, "JSON", "messages"),
    ),
    Case(
        "list_per_line.jsonl",
        "2 examples, or a sentence with a command",
        reads_or_says(FRUITS, "jq"),
    ),
    Case("saved_dataset", "2 examples, or a sentence on Arrow and Parquet", saved_dataset),
    Case(
        "label_false.jsonl",
        "1 wanted example; the others marked as rejected or left out",
        label_false,
    ),
    Case("empty_history.csv", "2 examples with their system prompt", empty_history),
    Case("null_system.jsonl", "2 examples without a system message", null_system),
    Case(
        "transcript_with_functions.jsonl",
        "what the function returned is a turn of the tool",
        transcript_with_functions,
        ("--columns=transcript=chat,user=USER,assistant=ASSISTANT",),
    ),
    Case("turn_pairs.jsonl", "5 examples, or reasons that name the fields of a turn", turn_pairs),
    Case(
        "pascal_case.jsonl",
        "3 examples",
        reads(
            ("Name a fruit that is red.", "A ripe cherry is red."),
            (BASIL, "Hang it up."),
            ("How long?", "Two weeks."),
        ),
    ),
    Case(
        "rows_page.json",
        "1 example, or a hint to .rows[].row",
        lambda trial: (
            trial.pairs == {("Name a red fruit.", "A cherry is red.")}
            or (says(trial, "rows", "row") and not says(trial, "features"))
        ),
    ),
    Case(
        "field_hints.jsonl",
        "2 rows, or a reason without the advice to unpack one list",
        field_hints,
    ),
    Case(
        "long_window.jsonl.zst",
        "3 examples, or how to unpack a long window",
        lambda trial: len(trial.examples) == 3 or says(trial, "window", "zstd -d --long=31"),
    ),
    Case("part[1].jsonl", "--quota part[1].jsonl=3 takes 3", quota_of_a_name),
    Case("erase", "no table has the text of an erased example, or what is left is named", erased),
    Case(
        "comma_columns.csv",
        "a field with a comma can be named, and the message says how",
        comma_columns,
    ),
    Case(
        "content_blocks.jsonl",
        "4 records read, or refused by the type of the block",
        content_blocks,
    ),
    Case("number_answers.parquet", "2 examples with the answers 42 and 7", number_answers),
    Case(
        "edited",
        "2 examples are named as no longer in the data, and select leaves them out",
        edited,
    ),
    Case(
        "flat_messages.jsonl",
        "1 example, or a sentence on .trees.jsonl",
        reads_or_says({(BASIL, "Hang it up.")}, ".trees.jsonl"),
    ),
    Case(
        "blank_system.jsonl",
        "the system message is that of the field with text",
        lambda trial: (
            [words(row["messages"], "system") for row in trial.examples] == ["Talk like a pirate."]
        ),
    ),
    Case(
        "hub_cache",
        "2 rows are read, not 4",
        lambda trial: trial.pairs == FRUITS and len(trial.rows("occurrences")) == 2,
    ),
    Case("snapshot_table", "refused or named as an Iceberg table", snapshot_table),
]
