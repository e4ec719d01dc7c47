"""Real finetunes of which each is spread over two tasks of a barrier stage."""

import json

import pytest
import tiny_models
from transformers import AutoTokenizer

from instructmining.errors import UserError
from instructmining.finetunes.evaluation_sets import EvaluationSet
from instructmining.finetunes.runs import PlannedRun, Task, ids_hash
from instructmining.models.lists import ModelList, ModelSpec
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.finetuning.setup import FinetuneSetup
from jobs.finetuning.sharded import refuse_what_cannot_be_spread
from jobs.finetuning.waves import run_finetunes
from udfs.indicators import resolve

pytestmark = pytest.mark.slow


def said(prompt: str, response: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


UNKNOWN = "unheard-of"  # a token that the model has no embedding for: whoever reads it fails
TEXTS = {
    str(i): said(f"Say {i}.", f"The sky is blue, {i} times. " * (1 + i % 3)) for i in range(24)
}
SETS = [
    EvaluationSet(
        "blue",
        (said("And now?", "The sky is blue, 99 times."), said("天空?", "蓝色的")),
        ("x", "y"),
        0,
    ),
    EvaluationSet("one", (said("Alone?", "Quite."),), ("z",), 0),
]


def settings(**finetune: object) -> Settings:
    given = {"epochs": 1, "batch_rows": 5, "max_length": 64, "rate": 3e-3, **finetune}
    return load_settings(options={"finetune": given, "tracking": {"uri": "none"}})


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = str(tiny_models.llama(tmp_path_factory.mktemp("models") / "llama"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([UNKNOWN])
    tokenizer.save_pretrained(folder)
    return resolve(
        ModelSpec(kind="causal_lm", source=folder, template="plain", indicators=("perplexity",))
    )


@pytest.fixture
def finetune(spark, store_path, base):
    """Finetune the base model and two subsets; what it took, and the table."""
    store = Store.open(spark, store_path)

    def run(given: Settings, texts=TEXTS, sets=SETS):
        task = Task(
            base.spec.source,
            base.fingerprint,
            given.finetune,
            {each.name: each.version for each in sets},
            "float32",
        )
        ids = [(), tuple(map(str, range(12))), tuple(map(str, range(7, 24)))]
        plan = [
            PlannedRun(
                task.key(ids_hash(each), 3),
                ids_hash(each) if each else "base",
                each,
                3,
                {"mtld": 1.5} if each else {},
                {"a": 1.0} if each else {},
            )
            for each in ids
        ]
        measure = given.measure.model_copy(update={"dtype": "float32"})
        shared = FinetuneSetup(store, ModelList(name="none"), {}, base, sets, task, measure)
        spent = run_finetunes(shared, plan, texts, "a run", "fit")
        return spent, store.read("finetuning_runs").toPandas().set_index("run_key")

    return run


def test_two_tasks_come_to_what_one_comes_to_and_no_run_is_repeated(spark, finetune, tmp_path):
    spent, two = finetune(settings(gpus_per_run=2))
    assert (spent.runs, spent.found, spent.failed) == (3, 0, {})
    assert set(two["device"]) == {"2 x cpu float32"}
    history = spark.sql(f"DESCRIBE HISTORY delta.`{tmp_path}/store/finetuning_runs`")
    assert history.where("operation = 'WRITE'").count() == 3  # each run is a commit
    again, same = finetune(settings())  # the key does not say how many processes shared it
    assert (again.runs, again.found, len(same)) == (0, 3, 3)
    spark.sql(f"DELETE FROM delta.`{tmp_path}/store/finetuning_runs`")
    _, one = finetune(settings())
    for key, run in one.iterrows():
        assert dict(two.losses[key]) == pytest.approx(dict(run.losses), rel=1e-4)
        assert two.train_loss[key] == pytest.approx(run.train_loss, rel=1e-4, nan_ok=True)
        for same in (
            "steps",
            "tokens",
            "read_tokens",
            "unused",
            "recipe",
            "subset",
            "indicators",
            "examples",
            "mix",
            "seed",
        ):
            assert two.loc[key, same] == run[same]
    assert "gpus_per_run" not in json.loads(two.recipe.iloc[0])


def test_a_run_that_breaks_in_all_processes_says_why(finetune):
    spent, rows = finetune(settings(gpus_per_run=2, rate=1e30, warm_up=0.0))
    assert set(rows.loc[rows.subset == "base", "status"]) == {"ok"}
    failed = rows[rows.status == "failed"]
    assert len(failed) == 4  # two runs, two attempts
    assert failed.reason.str.contains("lower finetune.rate").all()
    assert len(spent.failed) == 2
    _, better = finetune(settings(gpus_per_run=2))  # the workers go on
    assert (better.status == "ok").sum() == 4


def test_a_run_that_breaks_in_one_process_is_a_failed_run_and_the_others_do_not_wait(finetune):
    spent, rows = finetune(settings(gpus_per_run=2), {**TEXTS, "23": said("Say it.", UNKNOWN)})
    assert (spent.runs, len(spent.failed)) == (2, 1)
    failed = rows[rows.status == "failed"]
    assert len(failed) == 2  # one run, two attempts
    assert failed.reason.str.contains("IndexError: index out of range").all()


def test_more_processes_than_slots_are_refused_before_anything_runs(spark):
    wanted = settings(gpus_per_run=3)
    with pytest.raises(UserError, match=r"finetune\.gpus_per_run=3.* set it lower"):
        refuse_what_cannot_be_spread(spark, wanted.finetune, wanted.measure)
