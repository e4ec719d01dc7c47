"""Checks of the cases of `bench.harness.case_list`: whether what came of an input is right.

A check gets the trial after `score --stages ingest` of the input, and may run further commands.
Where two outcomes are right it accepts both.
"""

import json
import shutil
from collections.abc import Callable

from bench.harness.trial import Trial, words

FRUITS = {("Name a red fruit.", "A cherry is red."), ("Name a green fruit.", "A lime is green.")}
BASIL = "How do I dry basil?"


def reads(*pairs: tuple[str, str]) -> Callable[[Trial], bool]:
    """The examples are exactly these prompts and responses."""
    return lambda trial: trial.pairs == set(pairs)


def reads_or_says(pairs: set[tuple[str, str]], *sayings: str) -> Callable[[Trial], bool]:
    """The examples are these, or all of the sayings are printed or stand in quarantine."""
    return lambda trial: trial.pairs == pairs or says(trial, *sayings)


def says(trial: Trial, *sayings: str) -> bool:
    """Whether each of these was printed or is the detail of a quarantined record."""
    text = "\n".join([trial.text, *trial.quarantined])
    return all(saying in text for saying in sayings)


def prompts_hold(*parts: tuple[str, ...]) -> Callable[[Trial], bool]:
    """For each tuple there is one example whose prompt has all of its texts, in their order."""

    def check(trial: Trial) -> bool:
        prompts = [row["prompt"] for row in trial.examples]
        whole = [any(_in_order(prompt, texts) for prompt in prompts) for texts in parts]
        return len(prompts) == len(parts) and all(whole)

    return check


def _in_order(text: str, parts: tuple[str, ...]) -> bool:
    places = [text.find(part) for part in parts]
    return places == sorted(places) and places[0] >= 0


def source_label(trial: Trial) -> bool:
    """The four questions, in order, are the prompts."""
    starts = ("A baker sells", "A rope of", "Tell me about ants.", "Tell me about bees.")
    return len(trial.examples) == 4 and all(
        row["prompt"].startswith(start) for row, start in zip(trial.examples, starts, strict=True)
    )


def short_answer(trial: Trial) -> bool:
    """Both responses are the worked solutions."""
    worked = [row["response"] for row in trial.examples]
    return [answer.split()[0] for answer in worked] == ["6", "We"] and all(
        len(answer) > 40 for answer in worked
    )


def byte_columns(trial: Trial) -> bool:
    """Both pairs as text, or both rows refused for their bytes."""
    refused = trial.quarantined
    return trial.pairs == FRUITS or (
        len(refused) == 2 and all("byte" in detail or "binary" in detail for detail in refused)
    )


def tool_turns(trial: Trial) -> bool:
    """Twice the same exit code; each conversation has a score or a reason."""
    models = "ingest,reward,perplexity,embed,mtld,unieval,knn,rule"
    first = trial.score(stages=models).code
    again = trial.score(stages=models).code
    scores = trial.rows("scores")
    known = [row["predicted_log_loss"] == row["predicted_log_loss"] for row in scores]
    explained = [
        is_known or bool(row["missing_reason"]) for row, is_known in zip(scores, known, strict=True)
    ]
    return (first, again) == (0, 0) and len(scores) == 31 and sum(known) >= 30 and all(explained)


def tool_calls(trial: Trial) -> bool:
    """What is called stands in a turn, or the refusal names the call."""
    named = [line for line in trial.quarantined if "call" in line]
    called = [words(row["messages"], "assistant") for row in trial.examples]
    whole = [line for line in called if "get_weather" in line]
    turns = all(city in "".join(whole) for city in ("Graz", "Linz")[: len(whole)])
    return len(called) + len(named) == 3 and len(whole) + len(named) == 2 and turns


def tools_differ(trial: Trial) -> bool:
    """Two examples, and two exports that keep the tools."""
    return len(trial.examples) == 2 and all(
        _exports(trial, layout, ("get_weather", "search_web"))
        for layout in ("messages", "sharegpt")
    )


def _exports(trial: Trial, layout: str, texts: tuple[str, ...]) -> bool:
    """Whether the export in this layout has the texts, or the command says that it cannot."""
    target = trial.folder / f"{layout}.jsonl"
    trial.run("select", "--strategy=random", "--top=9", f"--as={layout}", f"--to={target}")
    if trial.code == 2:
        return "tool" in trial.text
    written = target.read_text(encoding="utf-8")
    return all(text in written for text in texts)


def reasoning_field(trial: Trial) -> bool:
    """The reasoning is in the response, or its field is named."""
    inside = [
        "17, 34, 51" in row["response"] or "7 times 3 is 21" in row["response"]
        for row in trial.examples
    ]
    return len(inside) == 2 and (all(inside) or says(trial, "reasoning_content"))


def masked_turns(trial: Trial) -> bool:
    """Two responses; the masked answer counts in no length of a response."""
    responses = sorted(row["response"] for row in trial.examples)
    if responses != ["Graz.", "No, it is Innsbruck."] or len(trial.quarantined) != 1:
        return False
    same = {"instruction": "Capital of Tyrol?", "output": "No, it is Innsbruck."}
    alone = trial.folder / "unmasked.jsonl"
    alone.write_text(json.dumps(same), encoding="utf-8")
    trial.score(stages="ingest,perplexity,mtld", given=alone)
    lengths = {
        row["example_id"]: dict(row["values"]).get("output_length")
        for row in trial.rows("stage_values")
        if row["stage"] == "perplexity"
    }
    mine = [
        lengths[row["example_id"]]
        for row in trial.examples
        if row["response"] == "No, it is Innsbruck."
    ]
    return len(mine) == 2 and len(set(mine)) == 1


def pictures(trial: Trial) -> bool:
    """Two examples, and a word about the pictures."""
    return len(trial.examples) == 2 and ("image" in trial.text or "picture" in trial.text)


def saved_dataset(trial: Trial) -> bool:
    """Both pairs, or what to do with such a folder."""
    return trial.pairs == FRUITS or (trial.code == 2 and says(trial, "Arrow", "Parquet"))


def label_false(trial: Trial) -> bool:
    """What is labelled false is marked as rejected, or left out."""
    unwanted = {
        row["example_id"]
        for row in trial.examples
        if row["response"] in ("No idea, go away.", "Burn it.")
    }
    marked = {
        row["example_id"]
        for row in trial.rows("occurrences")
        if dict(row["kept"] or {}).get("part") == "rejected"
    }
    left_out = len(trial.quarantined) == 2 - len(unwanted)
    return ("How do I clean a pan?", "Soak it, then scrub it.") in trial.pairs and (
        unwanted <= marked and left_out
    )


def empty_history(trial: Trial) -> bool:
    """Both examples have their system prompt."""
    said = [words(row["messages"], "system") for row in trial.examples]
    return said == ["You are brief.", "You are brief."]


def null_system(trial: Trial) -> bool:
    """No example has a system message."""
    roles = [message["role"] for row in trial.examples for message in row["messages"]]
    return trial.pairs == FRUITS and "system" not in roles


def transcript_with_functions(trial: Trial) -> bool:
    """No function speaks as the assistant; its speaker can be named."""
    said = "".join(words(row["messages"], "assistant") for row in trial.examples)
    if '"rain"' in said:
        return False
    columns = "transcript=chat,user=USER,assistant=ASSISTANT,tool=FUNCTION RESPONSE"
    named = Trial(trial.given, trial.folder / "named")
    named.score(f"--columns={columns}")
    results = [words(row["messages"], "tool") for row in named.examples]
    return len(results) == 1 and '"rain": true' in results[0]


def turn_pairs(trial: Trial) -> bool:
    """Five examples, or refusals that name the fields of a turn."""
    named = [detail for detail in trial.quarantined if "'input'" in detail or "'human'" in detail]
    return len(trial.examples) == 5 or len(trial.examples) + len(named) == 5


def field_hints(trial: Trial) -> bool:
    """Both answers, or no advice to unpack the list of one of them."""
    read = {row["response"] for row in trial.examples} == {"Hang it up.", "No."}
    return read or not says(trial, "jq")


def quota_of_a_name(trial: Trial) -> bool:
    """The file's own name is not a pattern."""
    trial.run("select", "--strategy=random", "--top=8", f"--quota={trial.given.name}=3")
    return trial.code == 0 and "selected 3" in trial.text


def erased(trial: Trial) -> bool:
    """The text is in no table, or the command says that something is left."""
    [patient] = [row["example_id"] for row in trial.examples if "Ms Example" in row["prompt"]]
    trial.run("erase", f"--id={patient}")
    held = [
        json.dumps(trial.rows(name), default=str)
        for name in ("examples", "occurrences", "quarantine")
    ]
    left = sum("haemoglobin" in text for text in held)
    return trial.code == 0 and (not left or "NOT erased" in trial.text)


def comma_columns(trial: Trial) -> bool:
    """A name with a comma works in quotes, and without them the message says so."""
    trial.score('--columns=prompt="Question, full",response="Answer, short"')
    if trial.pairs != {("Name a red fruit.", "Cherry")}:
        return False
    trial.score("--columns=prompt=Question, full,response=Answer, short")
    return trial.code == 2 and '"Question, full"' in trial.text


def content_blocks(trial: Trial) -> bool:
    """Every record is read, or refused by the type of its block."""
    kinds = ("thinking", "tool_use", "tool_result", "image_url")
    named = [detail for detail in trial.quarantined if any(kind in detail for kind in kinds)]
    return len(trial.examples) >= 1 and len(trial.examples) + len(named) == 4


def number_answers(trial: Trial) -> bool:
    """The numbers are the responses."""
    return {answer for _, answer in trial.pairs} == {"42", "7"}


def edited(trial: Trial) -> bool:
    """What was edited away is named with a remedy, and not selected."""
    data = trial.folder / "data.jsonl"
    before, after = (trial.given / name / "data.jsonl" for name in ("before", "after"))
    store = Trial(data, trial.folder / "edited")
    shutil.copyfile(before, data)
    store.score()
    shutil.copyfile(after, data)
    store.score()
    trial.text = store.text
    said = "2 examples" in store.text and "maintain" in store.text
    store.run("select", "--strategy=random", "--top=9")
    return said and "selected 1" in store.text


def snapshot_table(trial: Trial) -> bool:
    """The table is named for what it is."""
    return says(trial, "Iceberg")
