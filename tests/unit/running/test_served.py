"""Served models against a real local server that speaks the protocols of vLLM, SGLang, OpenAI.

The bodies of requests and replies are those of vLLM's `entrypoints/pooling`, of SGLang's native API
and of OpenAI's chat completions, as their documentation writes them.
"""

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from judge_server import Raw, Server, running

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec
from instructmining.served import client
from instructmining.settings.endpoints import Endpoint
from udfs.indicators import resolve
from udfs.running.measurement import NOT_ASKED
from udfs.running.scorers import load_scorer

KEY = "sk-very-secret"
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant_context", "content": "3"},
    {"role": "tool", "content": "4"},
    {"role": "assistant", "content": "四"},
    {"role": "user", "content": "thanks"},
]
UNREADABLE = [[], [{"role": "user", "content": "?"}], [{"role": "assistant", "content": None}]]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(client, "_back_off", lambda attempt: 0.01)
    with running() as server:
        yield server


def spec(server: Server, kind: str = "endpoint_reward", **entry) -> ModelSpec:
    served = {"model": "m", **entry.pop("served", {})}
    entry = {"question": "Good? Yes or No.", **entry} if kind == "endpoint_chat" else entry
    return ModelSpec(kind=kind, source=server.url, served=served, indicators=("good",), **entry)


def scorer(entry: ModelSpec, **limits):
    return load_scorer(resolve(entry), "cpu", endpoint=Endpoint(timeout=5, **limits))


def said(reply: object) -> Raw:
    return 200, json.dumps(reply), {}


def classified(*probs: float) -> Raw:
    data = [{"index": 0, "label": "LABEL_0", "probs": probs, "num_classes": len(probs)}]
    return said({"data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}})


def answered(text: str, *likeliest: tuple[str, float], before: tuple[str, ...] = ()) -> Raw:
    places = [{"token": token, "top_logprobs": []} for token in before]
    if likeliest:
        top = [{"token": token, "logprob": math.log(share)} for token, share in likeliest]
        places.append({"token": likeliest[0][0], "top_logprobs": top})
    choice = {"message": {"content": text}, "logprobs": {"content": places} if places else None}
    return said({"choices": [choice], "usage": {"prompt_tokens": 9, "total_tokens": 10}})


@pytest.mark.parametrize(
    ("protocol", "path", "reply"),
    [
        ("vllm_classify", "/classify", {"data": [{"probs": [-3.5], "num_classes": 1}]}),
        ("vllm_pooling", "/pooling", {"data": [{"data": [-3.5]}]}),
        ("vllm_pooling", "/pooling", {"data": [{"data": [[1.0], [-3.5]]}]}),
        ("vllm_score", "/score", {"data": [{"object": "score", "score": -3.5}]}),
        ("sglang_classify", "/classify", {"embedding": [-3.5], "meta_info": {"prompt_tokens": 7}}),
        ("sglang_classify", "/classify", [{"embedding": [-3.5]}]),
    ],
)
def test_a_reward_is_asked_for_as_the_protocol_says(server, protocol, path, reply):
    server.replies = [said(reply)]
    measured = scorer(spec(server, served={"protocol": protocol})).measure([TALK, *UNREADABLE])
    np.testing.assert_allclose(measured.values["good"], [-3.5, np.nan, np.nan, np.nan])
    assert measured.reasons == [
        None,
        "no messages",
        "no assistant turn",
        "a message without role or text",
    ]
    ((asked, headers, body),) = server.seen
    assert asked == path, "beside /v1, where vLLM and SGLang have it"
    assert "Authorization" not in headers
    if protocol == "vllm_score":
        texts = {"text_1": "Be brief.\n2 + 2?\n3\n4", "text_2": "四"}
        assert body == {"model": "m", "use_activation": False, **texts}
    elif protocol == "sglang_classify":
        assert body["text"].startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user")
        assert body["text"].endswith("<|im_start|>assistant\n四<|im_end|>\n")
    else:
        assert body["use_activation"] is False
        roles = [message["role"] for message in body["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant"]


def test_a_model_with_several_outputs_has_no_reward(server):
    server.replies = [classified(0.4, 0.6)]
    measured = scorer(spec(server)).measure([TALK])
    assert measured.reasons == ["the model gives 2 numbers, not one"]
    assert (measured.tokens[0], measured.work.billed, measured.work.asked) == (7, 7, 1)


def test_a_template_of_the_list_is_written_out_for_sglang_and_sent_to_vllm(server):
    template = "{% for m in messages %}({{ m['content'] }}){% endfor %}"
    server.replies = [said({"embedding": [1]}), classified(1)]
    for protocol in ("sglang_classify", "vllm_classify"):
        served = {"protocol": protocol, "chat_template": template}
        scorer(spec(server, served=served)).measure([TALK[1:2] + TALK[4:]])
    bodies = [body for _, _, body in server.seen]
    assert bodies[0]["text"] == "(2 + 2?)(四)"
    assert bodies[1]["chat_template"] == template


def test_yes_is_weighed_against_no_over_the_ways_to_write_them(server):
    server.replies = [
        answered("Yes", ("Yes", 0.5), (" yes", 0.1), ("No", 0.2), ("Maybe", 0.2)),
        answered("\nNo", ("ĠNo", 0.9), before=("\n",)),
        answered("Hmm", ("Hmm", 0.9), ("Well", 0.1)),
        answered("**Yes**, it is"),
        answered("no."),
        answered("Nobody knows"),
    ]
    measured = scorer(spec(server, "endpoint_chat"), concurrency=1).measure([TALK] * 6)
    np.testing.assert_allclose(measured.values["good"], [0.75, 0, np.nan, 1, 0, np.nan])
    assert measured.reasons[2] == "neither yes nor no is among the likeliest answers"
    assert measured.reasons[5] == "the answer is neither yes nor no"
    path, _, body = server.seen[0]
    assert path == "/v1/chat/completions"
    assert (body["temperature"], body["logprobs"], body["top_logprobs"]) == (0, True, 20)
    (message,) = body["messages"]
    assert message["content"].endswith("[assistant]\n四\n</conversation>\n\nGood? Yes or No.")
    assert "thanks" not in message["content"], "nothing after the last reply is shown"


def test_a_number_is_the_mean_of_the_answers_by_their_probability(server):
    server.replies = [
        answered("4", ("4", 0.6), ("5", 0.2), ("x", 0.2)),
        answered("A", ("A", 1.0)),
        answered("I give it 3.5 of 5"),
        answered("10"),
    ]
    scale = {"served": {"scale": [1, 5]}}
    measured = scorer(spec(server, "endpoint_chat", **scale), concurrency=1).measure([TALK] * 4)
    np.testing.assert_allclose(measured.values["good"], [4.25, np.nan, 3.5, np.nan])
    assert measured.reasons[1] == "no number from 1 to 5 is among the likeliest answers"
    assert measured.reasons[3] == "the answer holds no number from 1 to 5"


def test_beyond_one_digit_the_text_counts_since_a_number_is_several_tokens(server):
    server.replies = [answered("85", ("8", 0.9), ("9", 0.1))]
    entry = spec(server, "endpoint_chat", served={"scale": [0, 100]})
    assert scorer(entry).measure([TALK]).values["good"] == [85]


def test_fields_of_the_list_go_into_the_request_and_null_takes_one_out(server):
    server.replies = [answered("Yes")]
    request = {"chat_template_kwargs": {"enable_thinking": False}, "top_logprobs": 5}
    request |= {"max_tokens": None}
    scorer(spec(server, "endpoint_chat", served={"request": request})).measure([TALK])
    _, _, body = server.seen[0]
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["top_logprobs"] == 5
    assert "max_tokens" not in body


def test_a_call_that_fails_for_good_is_a_row_without_a_number(server):
    too_long = {"error": {"message": "at most 4096 tokens"}}
    server.replies = [(400, json.dumps(too_long), {}), (503, "", {}), (503, "", {}), classified(2)]
    measured = scorer(spec(server), concurrency=1, attempts=2).measure([TALK] * 3)
    np.testing.assert_allclose(measured.values["good"], [np.nan, np.nan, 2])
    assert measured.reasons == [
        "failed: HTTP 400: at most 4096 tokens",
        "failed: HTTP 503 after 2 attempts",
        None,
    ]
    assert (measured.work.asked, measured.work.retries) == (4, 1)


def test_a_cap_leaves_rows_to_the_next_run(server):
    server.replies = [classified(1)]
    measured = scorer(spec(server), concurrency=1, max_calls=2).measure([TALK] * 4)
    assert measured.reasons == [None, None, NOT_ASKED, NOT_ASKED]
    measured = scorer(spec(server), concurrency=1, max_tokens=8).measure([TALK] * 4)
    assert measured.reasons == [None, None, NOT_ASKED, NOT_ASKED]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "accepted"), (403, "use"), (404, "no model m")]
)
def test_what_is_wrong_with_the_settings_ends_the_run(server, monkeypatch, status, words):
    monkeypatch.setenv("MY_KEY", KEY)
    server.replies = [(status, f"bad {KEY}", {})]
    model = scorer(spec(server, served={"key_variable": "MY_KEY"}), concurrency=1)
    with pytest.raises(UserError, match=words) as caught:
        model.measure([TALK] * 50)
    assert server.url in str(caught.value)
    assert KEY not in str(caught.value)
    assert len(server.seen) == 1
    assert server.seen[0][1]["Authorization"] == f"Bearer {KEY}"


def test_a_server_that_is_gone_ends_the_run_instead_of_failing_every_row(server, monkeypatch):
    monkeypatch.setattr(client, "_QUIET", 0.0)
    server.replies = [(503, "", {})]
    model = scorer(spec(server), concurrency=2, attempts=2)
    with pytest.raises(UserError, match="4 requests in a row without an answer"):
        model.measure([TALK] * 500)
    assert len(server.seen) < 20


def test_a_key_is_in_the_environment_and_does_not_go_over_plain_http(monkeypatch):
    far = {"kind": "endpoint_reward", "source": "http://gpu/v1", "indicators": ("good",)}
    entry = ModelSpec(**far, served={"model": "m", "key_variable": "MY_KEY"})
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UserError, match="MY_KEY holds no key"):
        scorer(entry)
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(UserError, match="over plain http"):
        scorer(entry)
    assert scorer(ModelSpec(**far, served={"model": "m"})).url == "http://gpu/classify"


def test_each_scorer_counts_what_it_spends_from_zero(server):
    server.replies = [classified(1)]
    for _ in range(2):
        assert scorer(spec(server), max_calls=1).measure([TALK]).reasons == [None]
