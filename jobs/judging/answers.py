"""Finetuned models answer the prompts of the evaluation sets; an answer is stored and kept.

The weights of a finetune are not kept, so the run whose answers are wanted is made once more: the
same examples, seed and recipe from the same base weights.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from instructmining.errors import UserError
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.finetunes.runs import PlannedRun
from instructmining.judging.answer_forms import form_of
from instructmining.judging.options import Choice, choice_of
from instructmining.judging.response_options import response_options
from instructmining.settings.learning import Judge
from jobs.evaluating.arm_runs import Experiment
from jobs.finetuning.candidates import texts_of
from udfs.finetuning.loading import loaded_finetuner
from udfs.indicator import task_place
from udfs.on_spark.placement import arrived, gpu_profile, in_model_workers, model_slots, ship
from udfs.running.measurement import Conversation
from udfs.texts.conversations import up_to_last_reply

_SCHEMA = "run_key STRING, evaluation STRING, example_id STRING, answer STRING, finished BOOLEAN"
_LACKING = {
    "choice": "no question with options of which the reference names one (lines `A) …`, or a list "
    "below `Options:`); --judge match compares texts",
    "response": "no two responses that differ; --judge match compares texts",
    "form": "no reference in a form that can be verified (JSON, a list, code in a fence, yes or "
    "no, one word); --judge match compares texts",
}
Prompts = Mapping[str, Sequence[tuple[str, Conversation]]]  # by evaluation set: id, conversation


def prompts_of(sets: Sequence[EvaluationSet], judge: Judge) -> Prompts:
    """The first conversations of each set; ids are hashes, so the first are a fair draw.

    Where options are judged, those with options, each with the right one as its reply; where forms
    are, those whose reply has one.

    Raises:
        UserError: a set has no such conversation, or no two responses to choose from.
    """
    prompts = {}
    for evaluation in sets:
        listed: Iterable[tuple[str, Conversation]]
        listed = zip(evaluation.ids, evaluation.conversations, strict=True)
        if judge.kind == "choice":
            listed = _with_options(listed)
        if judge.kind == "form":
            listed = (one for one in listed if form_of(up_to_last_reply(one[1])[-1]["content"]))
        prompts[evaluation.name] = list(islice(listed, judge.prompts))
        few = judge.kind == "response" and len(set(_replies(prompts[evaluation.name]))) < 2
        if few or not prompts[evaluation.name]:
            lacking = _LACKING.get(judge.kind, "no conversation")
            raise UserError(f"--judge {judge.kind}: evaluation set {evaluation.name} has {lacking}")
    return prompts


def _replies(listed: Iterable[tuple[str, Conversation]]) -> list[str]:
    return [up_to_last_reply(conversation)[-1]["content"] for _, conversation in listed]


def _with_options(
    listed: Iterable[tuple[str, Conversation]],
) -> Iterator[tuple[str, Conversation]]:
    for example_id, conversation in listed:
        choice = _choice(conversation)
        if choice is not None:
            right = {"role": "assistant", "content": choice.replies[choice.right]}
            yield example_id, [*up_to_last_reply(conversation)[:-1], right]


def _choice(conversation: Conversation) -> Choice | None:
    *history, reply = up_to_last_reply(conversation)
    asked = [message["content"] for message in history if message["role"] == "user"]
    return choice_of(asked[-1], reply["content"]) if asked else None


def answered(
    experiment: Experiment, runs: Sequence[PlannedRun], prompts: Prompts, judge: Judge
) -> pd.DataFrame:
    """The answers of these finetunes: what is stored, and what is made now.

    Returns:
        `run_key`, `evaluation`, `example_id`, `answer`, `finished`.
    """
    decoding = decoding_of(judge)
    wanted = {run.key: run for run in runs}
    known = _stored(experiment, list(wanted), prompts, decoding)
    needed = sum(len(listed) for listed in prompts.values())
    counts = known["run_key"].value_counts()
    todo = [run for key, run in wanted.items() if counts.get(key, 0) < needed]
    if todo:
        print(f"answers: {len(todo)} models, {needed:,} prompts each", flush=True)
        _answer(experiment, todo, prompts, judge)
        known = _stored(experiment, list(wanted), prompts, decoding)
    return known


def decoding_of(judge: Judge) -> str:
    """How answers are made, as it is stored with them."""
    if judge.kind == "choice":
        return json.dumps({"choice": "mean loss of a token"})
    if judge.kind == "response":  # the options are the responses of these prompts
        return json.dumps({"response": "loss explained by the prompt", "prompts": judge.prompts})
    return json.dumps({"tokens": judge.answer_tokens, "temperature": judge.temperature})


def _stored(
    experiment: Experiment, keys: Sequence[str], prompts: Prompts, decoding: str
) -> pd.DataFrame:
    asked = {(name, i) for name, listed in prompts.items() for i, _ in listed}
    rows = experiment.store.read("answers").where(
        F.col("run_key").isin(list(keys)) & (F.col("decoding") == decoding)
    )
    columns = ["run_key", "evaluation", "example_id"]
    answers = rows.select(*columns, "answer", "finished").dropDuplicates(columns).toPandas()
    known = pd.MultiIndex.from_frame(answers[columns[1:]]).isin(asked)
    return answers[known].sort_values(columns, ignore_index=True)


def _options_of(prompts: Prompts, judge: Judge) -> list[tuple[str, ...]]:
    """What each prompt's answer is chosen from, set after set; nothing where it is generated."""
    options: list[tuple[str, ...]] = []
    for listed in prompts.values():
        if judge.kind == "choice":
            choices = [_choice(conversation) for _, conversation in listed]
            options += [choice.replies for choice in choices if choice is not None]
        if judge.kind == "response":
            options += response_options(_replies(listed))
    return options


def _answer(
    experiment: Experiment, runs: Sequence[PlannedRun], prompts: Prompts, judge: Judge
) -> None:
    """As many models at a time as there are slots; all answers are one commit."""
    store = experiment.store
    spark = store.spark
    texts = texts_of(store, sorted({i for run in runs for i in run.ids}))
    examples = spark.sparkContext.broadcast(
        [(run.key, run.seed, [texts[i] for i in run.ids]) for run in runs]
    )
    asked = [
        (name, i, list(conversation))
        for name, listed in prompts.items()
        for i, conversation in listed
    ]
    options = _options_of(prompts, judge)
    explained = judge.kind == "response"
    measure = experiment.setup.measure
    model = ship(spark, experiment.setup.base)
    recipe = experiment.task.recipe

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from udfs.finetuning.answers import Answer, answer
        from udfs.finetuning.choices import choose

        for batch in batches:
            for number in batch["id"].to_pylist():
                key, seed, rows = examples.value[number]
                device, dtype = task_place(measure)
                finetuner = loaded_finetuner(arrived(model), device, dtype, measure, recipe)
                finetuner.run(rows, {}, seed)
                conversations = [conversation for _, _, conversation in asked]
                if options:
                    taken = choose(finetuner, conversations, options, explained)
                    answers = [Answer(text, True) for text in taken]
                else:
                    answers = answer(
                        finetuner, conversations, judge.answer_tokens, judge.temperature, seed
                    )
                yield pa.RecordBatch.from_pydict(
                    {
                        "run_key": [key] * len(asked),
                        "evaluation": [name for name, _, _ in asked],
                        "example_id": [i for _, i, _ in asked],
                        "answer": [one.text for one in answers],
                        "finished": [one.finished for one in answers],
                    }
                )

    tasks = spark.range(0, len(runs), 1, min(len(runs), model_slots(spark, measure)))
    answers = in_model_workers(tasks, work, _SCHEMA, gpu_profile(spark, measure))
    rows = answers.withColumns(
        {"decoding": F.lit(decoding_of(judge)), "run_id": F.lit(experiment.run_id)}
    )
    store.append(rows, "answers", {"run_id": experiment.run_id})
