"""Entries of a model list whose model is on a server: what is refused, what a fingerprint holds."""

import pytest

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from instructmining.settings.endpoints import Endpoint
from udfs.indicators import load_model_list, resolve

ENTRY = {
    "kind": "endpoint_chat",
    "source": "http://one:8000/v1",
    "question": "Good?",
    "indicators": ("good",),
    "served": {"model": "m"},
}


def fingerprint(**changes) -> str:
    return resolve(ModelSpec(**{**ENTRY, **changes})).fingerprint


def test_a_server_may_move_and_a_key_may_change():
    assert fingerprint() == fingerprint(source="https://two/v1")
    assert fingerprint() == fingerprint(served={"model": "m", "key_variable": "K"})
    assert resolve(ModelSpec(**ENTRY)).folder == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"question": "Bad?"},
        {"served": {"model": "other"}},
        {"served": {"model": "m", "scale": (1, 5)}},
        {"served": {"model": "m", "request": {"temperature": 1}}},
        {"served": {"model": "m", "chat_template": "x"}},
    ],
)
def test_what_decides_the_number_decides_the_fingerprint(changes):
    assert fingerprint(**changes) != fingerprint()


def test_entries_without_a_server_keep_their_fingerprints():
    spec = ModelSpec(kind="mtld", indicators=("mtld",))
    assert "served" not in resolve(spec).definition


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("source: gpu", "not an http or https URL"),
        ("source: 'http://me:hidden@gpu/v1'", "user, password or query"),
        ("served: null", "needs `served`"),
        ("question: null", "needs the question"),
        ("served: {model: m, scale: [5, 1]}", "lowest answer, then the highest"),
        ("served: {model: m, protocol: grpc}", "protocol"),
        ("kind: mtld", "not on a server"),
        ("indicators: [a, b]", "gives one number"),
    ],
)
def test_a_wrong_entry_is_refused_when_the_list_is_read(tmp_path, change, words):
    lines = {
        "kind": "kind: endpoint_chat",
        "source": "source: http://gpu/v1",
        "question": "question: Good?",
        "served": "served: {model: m}",
        "indicators": "indicators: [good]",
    }
    lines[change.partition(":")[0]] = change
    text = "\n".join(f"    {line}" for line in lines.values())
    (tmp_path / "mine.yml").write_text(f"name: mine\nclassifiers:\n  good:\n{text}\n")
    with pytest.raises(UserError, match=words) as caught:
        load_model_list(str(tmp_path / "mine.yml"))
    assert "hidden" not in str(caught.value)


def test_tasks_share_the_caps_and_together_keep_them():
    whole = Endpoint(concurrency=5, max_calls=7, max_tokens=2)
    parts = [whole.share(task, 3) for task in range(3)]
    assert [part.max_calls for part in parts] == [3, 2, 2]
    assert [part.concurrency for part in parts] == [2, 2, 1]
    assert sum(part.max_tokens for part in parts) == 2
    assert Endpoint(concurrency=1).share(3, 4).concurrency == 1
    assert whole.after(7, 0).is_spent
    assert whole.after(3, 1).max_calls == 4
