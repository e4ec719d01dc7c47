"""A pool measured by models on a server: caps that resume, one sentence where it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from judge_server import Raw, Server, running
from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.settings.loading import load_settings
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.scoring.run import run

pytestmark = pytest.mark.slow

RULE = {"name": "served", "intercept": 1.0, "coefficients": {"reward": -1.0}}
ROWS = 12


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as server:
        server.replies = [answer]
        yield server


def answer(body: dict) -> Raw:
    """The reward is the length of the reply; P(yes) of the chat model is 3 in 4."""
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    if "use_activation" in body:
        if body["messages"][-1]["content"] == "long":
            return 400, '{"message": "too long"}', {}
        length = float(len(body["messages"][-1]["content"]))
        return 200, json.dumps({"data": [{"probs": [length]}], "usage": usage}), {}
    top = [{"token": "Yes", "logprob": -0.2876821}, {"token": "No", "logprob": -1.3862944}]
    logprobs = {"content": [{"token": "Yes", "top_logprobs": top}]}
    choice = {"message": {"content": "Yes"}, "logprobs": logprobs}
    return 200, json.dumps({"choices": [choice], "usage": usage}), {}


def settings(folder: Path, server: Server, max_calls: int, url: str = "") -> Settings:
    at = url or server.url
    (folder / "mine.yml").write_text(
        "name: mine\n"
        f"reward: {{kind: endpoint_reward, source: '{at}', served: {{model: r}}, "
        "indicators: [reward]}\n"
        "classifiers:\n"
        f"  good: {{kind: endpoint_chat, source: '{at}', served: {{model: c}}, question: 'Good?', "
        "indicators: [good]}\n"
    )
    (folder / "rule.json").write_text(json.dumps(RULE))
    rows = [{"prompt": f"Вопрос {i}?", "response": "да" * (i + 1)} for i in range(ROWS - 2)]
    rows += [{"prompt": "q", "response": "long"}, {"prompt": "q", "response": "a word"}]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return load_settings(
        options={
            "input": (str(folder / "rows.jsonl"),),
            "store": str(folder / "store"),
            "models": str(folder / "mine.yml"),
            "rule": {"source": str(folder / "rule.json")},
            "tracking": {"uri": "none"},
            "measure": {"max_failed_fraction": 0.5},
            "endpoint": {"max_calls": max_calls, "concurrency": 4, "attempts": 1},
        }
    )


def test_a_cap_is_kept_and_the_next_run_goes_on(
    spark: SparkSession, tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    run(spark, settings(tmp_path, server, 8))
    first = len(server.seen)
    assert first <= 8
    printed = capsys.readouterr().out
    assert "wait for the next run: endpoint.max_calls or endpoint.max_tokens is reached" in printed
    assert "canary" in printed
    assert "left out: endpoint.max_calls" in printed
    store = Store.open(spark, str(tmp_path / "store"))
    assert store.read("stage_values").count() == first
    assert store.read("canary").count() == 0, "half a canary would flatter the rule"

    run(spark, settings(tmp_path, server, 10_000))
    asked = [body["messages"][-1]["content"] for _, _, body in server.seen]
    values = store.read("stage_values").toPandas()
    assert sorted(values.stage.value_counts()) == [ROWS, ROWS]
    canary = store.read("canary").count()
    assert canary
    assert len(asked) == 2 * ROWS + 2 * canary, "nothing is asked twice"
    failed = values[values.status == "failed"]
    assert list(failed.reason) == ["failed: HTTP 400: too long"]
    scores = store.read("scores").toPandas()
    assert scores.reward.max() == 20
    assert scores.good.to_numpy() == pytest.approx(0.75)
    assert scores.predicted_log_loss.isna().sum() == 1

    before = len(server.seen)
    moved = server.url.replace("127.0.0.1", "localhost")
    run(spark, settings(tmp_path, server, 10_000, moved))
    assert len(server.seen) == before, "a server under another address is the same model"


def test_a_refusal_ends_the_run_in_one_sentence(
    spark: SparkSession, tmp_path: Path, server: Server
) -> None:
    server.replies = [(404, "", {})]
    with pytest.raises(UserError, match=r"stage reward: .* answers HTTP 404: there is no model r"):
        run(spark, settings(tmp_path, server, 100))
    assert Store.open(spark, str(tmp_path / "store")).read("stage_values").isEmpty()
