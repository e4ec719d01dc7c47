"""What the floor leaves out: features against the same in Python, reasons, conditions, ranges."""

import math
from collections import Counter

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from scipy.stats import percentileofscore

from instructmining.errors import UserError
from instructmining.features.columns import feature_columns
from instructmining.features.names import FEATURES
from instructmining.selecting.floor import left_out, with_floor
from instructmining.selecting.quality import with_quality
from instructmining.selecting.selection import pick
from instructmining.settings.learning import Floor, Select
from udfs.texts.language import language_column

PROMPT = "Name two large rivers of Europe, and the seas that they flow into."
SOUND = "The Volga flows into the Caspian Sea. The Danube ends in the Black Sea, in a wide delta."
LOOP = "the river is long and " * 12
# Response to the reason that the floor names; None: it stays.
TEXTS = {
    SOUND: None,
    "東京は日本の首都です。川は隅田川です。": "in a language that the models do not read",
    "Die Wolga fließt in das Kaspische Meer, und die Donau mündet in das Schwarze Meer.": (
        "in a language that the models do not read"
    ),
    "Volga": None,
    "N/A": "placeholder",
    "As an AI language model, I cannot name rivers.": "placeholder",
    "": "empty response",
    PROMPT: "echo of the prompt",
    f"  {PROMPT.upper()} ": "echo of the prompt",
    LOOP: "repetition",
    "<div><p>Volga</p><br/><a href='/x'>Danube</a></div>&nbsp;&amp;": "markup",
    "VGhlIFZvbGdhIGZsb3dzIGludG8gdGhlIENhc3BpYW4gU2VhLiBUaGUgRGFudWJlIGVuZHMgaW4=": (
        "encoded data or a token too long"
    ),
    f"See https://example.com/{'a' * 90} for the Volga, the Danube and where they end.": None,
    "a" * 45: "few different characters",
}


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """One row per text, with made-up indicators; the sound ones have the higher quality."""
    made = [
        (f"{i:032x}", text, [("user", PROMPT), ("assistant", text)], i / 10, 0.5 + i / 100, i < 12)
        for i, text in enumerate([*TEXTS, None])
    ]
    schema = (
        "example_id STRING, response STRING, messages ARRAY<STRUCT<role: STRING, content: STRING>>,"
        " reward DOUBLE, naturalness DOUBLE, inside BOOLEAN"
    )
    frame = spark.createDataFrame(made, schema).withColumns(
        {
            "prompt": F.lit(PROMPT),
            "source": F.lit("s"),
            "coherence": F.lit(None).cast("double"),
            "predicted_log_loss": -F.col("reward"),
            "percentile": F.lit(50.0),
            "out_of_range": ~F.col("inside"),
            "response_characters": F.length("response"),
            "prompt_language": F.lit("en"),
            "response_language": language_column(F.col("response")),
        }
    )
    return with_quality(frame.withColumns(feature_columns())).localCheckpoint()


def entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def repetition(text: str) -> float:
    words = text.lower().split()
    runs = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    return 1 - len(set(runs)) / len(runs) if len(runs) >= 8 else 0.0


def echo(text: str) -> float:
    said, asked = text.lower().split(), PROMPT.lower().split()
    if said == asked:
        return 1.0
    return len({*said} & {*asked}) / len({*said} | {*asked})


def test_features_are_what_the_same_arithmetic_in_python_gives(rows: DataFrame) -> None:
    frame = rows.toPandas().set_index("response")
    assert frame.loc[frame.index.isna(), list(FEATURES)].isna().all().all()
    for text in TEXTS:
        row = frame.loc[text]
        assert row.character_entropy == pytest.approx(entropy(text[:200]) if text else 0, abs=1e-9)
        assert row.repetition == pytest.approx(repetition(text))
        assert row.echo == pytest.approx(echo(text), abs=1e-3)
    assert (
        frame.loc[
            "VGhlIFZvbGdhIGZsb3dzIGludG8gdGhlIENhc3BpYW4gU2VhLiBUaGUgRGFudWJlIGVuZHMgaW4="
        ].longest_token
        == 76
    )
    assert frame.loc["Volga"].markup_share == 0


def test_quality_is_the_lowest_percentile_of_what_was_measured(rows: DataFrame) -> None:
    frame = rows.toPandas()
    expected = [percentileofscore(frame.reward, v, "strict") for v in frame.reward]
    share = pd.Series(expected) * len(frame) / (len(frame) - 1)  # from 0 to 100 over the rows
    assert frame.quality.tolist() == pytest.approx(share.tolist(), abs=0.6)


def test_the_floor_names_the_first_reason_and_the_choice_leaves_the_rows_out(
    rows: DataFrame,
) -> None:
    marked = with_floor(rows, Floor(quality_percentile=0), ["en"]).localCheckpoint()
    reasons = {row.response: row.floor_reason for row in marked.collect()}
    assert reasons == {**TEXTS, None: None}
    select = Select(top=50, out_of_range=True)
    kept = {row.example_id for row in pick(marked, select).collect()}
    sound = marked.where("floor_reason IS NULL").collect()
    assert kept == {row.example_id for row in sound}
    assert pick(marked, Select(top=50, out_of_range=True, floor="off")).count() == len(TEXTS) + 1
    assert sum(left_out(marked, select)[0].values()) == len(TEXTS) + 1 - len(sound)
    everyone = with_floor(rows, Floor(quality_percentile=0), [])
    assert "in a language" not in str(left_out(everyone, select)[0])
    unread = with_floor(rows, Floor(lowest={"naturalness": 0.55}, quality_percentile=9), ["en"])
    counts, [sentence] = left_out(unread, select)
    assert counts["naturalness below 0.55"] == 2  # the two first: all others fail or lie above
    assert sentence.startswith(f"the floor leaves out {sum(counts.values())} examples (")


def test_rows_outside_the_range_of_the_rule_are_left_out_unless_asked_for(rows: DataFrame) -> None:
    off = {"top": 50, "floor": "off"}
    assert pick(rows, Select(**off)).count() == 12
    assert pick(rows, Select(**off, out_of_range=True)).count() == len(TEXTS) + 1
    assert pick(rows, Select(**off, strategy="highest_reward")).count() == len(TEXTS) + 1
    reasons, [sentence] = left_out(rows, Select(**off))
    assert reasons == {}
    assert sentence.startswith("3 examples are left out: an indicator is outside the range")


def test_a_condition_is_sql_over_the_columns_of_a_row(rows: DataFrame) -> None:
    def chosen(where: str) -> int:
        select = Select(top=50, floor="off", out_of_range=True, where=where)
        return pick(rows, select).count()

    assert chosen("reward > 0.35 AND response_language IS NOT NULL OR echo = 1") > 2
    assert chosen("reward >= 1.0") == 5
    assert chosen("'select' = 'select' AND coherence IS NULL") == len(TEXTS) + 1
    for where, message in {
        "rewrd > 0": r"there is no such column; the columns are .*naturalness.*reward",
        "reward >": "is not a condition in SQL",
        "reward + 1": "that is double, not a condition",
        "reward > (SELECT 1)": "SELECT is not allowed",
        "reflect('java.lang.System', 'exit') = ''": "reflect is not allowed",
        "sum(reward) > 1": "--where sum",
    }.items():
        with pytest.raises(UserError, match=message):
            chosen(where)
