"""What a fitted rule records: names, ranges widened by half, the models of its indicators."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.models.lists import ModelList, ResolvedModel
from instructmining.scoring.scores import Measured
from instructmining.settings.sections import Knn
from jobs.fitting.record import fitted_models, fitted_name, ranges

MODELS = ModelList.model_validate(
    {
        "name": "mine",
        "reward": {"kind": "sequence_classifier", "source": "lab/r", "indicators": ["reward"]},
        "embed": {"kind": "sentence_encoder", "source": "lab/e", "indicators": ["knn_6"]},
        "mtld": {"kind": "mtld", "indicators": ["mtld"]},
    }
)


def resolved(stage: str) -> ResolvedModel:
    spec = MODELS.stages[stage]
    return ResolvedModel(spec=spec, folder="", fingerprint=f"print of {stage}", definition={})


def test_a_rule_is_named_after_its_pools():
    assert fitted_name(["dolly"]) == "fitted-dolly"
    assert fitted_name(["a", "日本"]) == "fitted-a+日本"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_range_goes_half_its_width_beyond_the_means_on_both_sides(means):
    [(name, (low, high))] = ranges(pd.DataFrame({"reward": means})).items()
    width = max(means) - min(means)
    assert name == "reward"
    assert low == pytest.approx(min(means) - width / 2)
    assert high == pytest.approx(max(means) + width / 2)
    assert all(low <= mean <= high for mean in means)


@pytest.mark.parametrize("neighbors", [6, 10])
def test_each_indicator_names_the_model_that_measured_it(neighbors):
    models = {stage: resolved(stage) for stage in MODELS.stages}
    prints = {stage: model.fingerprint for stage, model in models.items()}
    measured = Measured(MODELS, prints, Knn(neighbors=neighbors))
    fitted = fitted_models(measured, models)
    assert fitted["reward"].sources == ("lab/r",)
    assert fitted["reward"].fingerprint == "print of reward"
    assert fitted[f"knn_{neighbors}"].fingerprint == "print of embed"
    assert fitted["mtld"].sources == ("mtld",)  # it has no source: the stage names it


def test_without_an_encoder_no_distance_has_a_model():
    models = {"reward": resolved("reward")}
    listed = ModelList(**MODELS.model_dump(exclude_unset=True, include={"name", "reward"}))
    measured = Measured(listed, {"reward": "print of reward"}, Knn())
    assert set(fitted_models(measured, models)) == {"reward"}
