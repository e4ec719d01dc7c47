"""Packs, compiling, the fused update and neighbours give a CPU's numbers; needs a CUDA device."""

import numpy as np
import pytest
import tiny_models
import torch
from scipy.spatial.distance import cdist

from instructmining.models.lists import ModelSpec
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure
from udfs.finetuning.finetuner import Finetuner
from udfs.indicators import resolve
from udfs.neighbors.knn import Search, neighbor_distances
from udfs.neighbors.tiles import TileIndex
from udfs.running.scorers import load_scorer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICE = "cuda:0"
TALKS = [
    [
        {"role": "user", "content": f"Count to {n}."},
        {"role": "assistant", "content": " ".join(map(str, range(n)))},
    ]
    for n in range(2, 40, 3)
]


@pytest.mark.parametrize(
    "how", [Measure(packing=True), Measure(compile=True), Measure(packing=True, compile=True)]
)
@pytest.mark.parametrize("build", [tiny_models.llama, tiny_models.qwen3])
def test_packed_and_compiled_models_give_the_numbers_of_the_cpu(build, how, tmp_path):
    folder = str(build(tmp_path))
    model = resolve(ModelSpec(kind="causal_lm", source=folder, indicators=("nll", "nll_alone")))
    expected = load_scorer(model, "cpu", "float32").measure(TALKS)
    scorer = load_scorer(model, DEVICE, "bfloat16", None, how)
    assert scorer.packed is how.packing
    found = scorer.measure(TALKS)
    for name, values in expected.values.items():
        assert found.values[name] == pytest.approx(values, rel=0.05)


def test_models_in_float32_are_read_padded_where_packs_have_no_kernel(tmp_path):
    folder = str(tiny_models.llama(tmp_path))
    model = resolve(ModelSpec(kind="causal_lm", source=folder, indicators=("nll",)))
    expected = load_scorer(model, "cpu", "float32").measure(TALKS).values["nll"]
    scorer = load_scorer(model, DEVICE, "float32", None, Measure(packing=True))
    assert scorer.measure(TALKS).values["nll"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("how", [Measure(fused_optimizer=True), Measure(packing=True)])
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_finetune_comes_to_the_loss_of_the_plain_one(adapter, how, tmp_path):
    folder = str(tiny_models.llama(tmp_path))
    spec = ModelSpec(kind="causal_lm", source=folder, indicators=("nll",))
    recipe = Finetune(adapter=adapter, batch_rows=4, rate=1e-3, max_length=64, lora_rank=4)
    losses = [
        Finetuner(spec, folder, DEVICE, "bfloat16", 512, recipe, each)
        .run(TALKS, {"held": TALKS[:4]}, 0)
        .losses["held"]
        for each in (Measure(), how)
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


@pytest.mark.parametrize("width", [1.0, 0.02, 1e-4])
def test_no_neighbour_is_missed(width):
    random = np.random.default_rng(0)
    made = random.normal(size=(3000, 384))
    made[:1000] = made[0] + width * random.normal(size=(1000, 384))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    true = cdist(vectors.astype(float), vectors.astype(float))
    np.fill_diagonal(true, np.inf)
    index = TileIndex(vectors, DEVICE)
    found = neighbor_distances(index, np.arange(3000), Search(6, 32))
    expected = np.sort(true, axis=1)[:, :6]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-6)


def test_products_are_as_exact_as_the_certificate_takes_them_to_be():
    """Sums in float32 below d·2⁻²³, and one rounding to float16."""
    random = np.random.default_rng(1)
    made = random.normal(size=(4096, 384))
    vectors = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    rough = TileIndex(vectors, DEVICE).rough
    products = (rough.vectors @ rough.vectors.T).double()
    exact = rough.vectors.double() @ rough.vectors.double().T
    allowed = exact.abs() * rough.rounding + 384 * 2.0**-23
    assert bool(((products - exact).abs() <= allowed).all())
