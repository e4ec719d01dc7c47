"""Which stages of a model list a run goes through, and whose models must be at hand."""

import pytest

from instructmining.errors import UserError
from instructmining.models.lists import ModelList
from instructmining.settings.sections import STAGES
from jobs.scoring.asked_stages import chosen_stages, needed_models

CLASSIFIER = {"kind": "sequence_classifier", "source": "lab/one", "indicators": ["toxicity"]}
LIST = ModelList.model_validate(
    {
        "name": "mine",
        "reward": {"kind": "sequence_classifier", "source": "lab/r", "indicators": ["reward"]},
        "embed": {"kind": "sentence_encoder", "source": "lab/e", "indicators": ["knn_6"]},
        "classifiers": {"toxic": CLASSIFIER},
    }
)


def test_all_stages_are_those_of_the_list_its_classifiers_among_them() -> None:
    assert set(chosen_stages(STAGES, LIST)) == {"reward", "embed", "toxic"}


@pytest.mark.parametrize(
    ("stages", "chosen"),
    [
        (("ingest",), []),
        (("ingest", "reward", "rule"), ["reward"]),
        (("classifier:toxic",), ["toxic"]),
        (("reward", "classifier:toxic"), ["reward", "toxic"]),
        (("perplexity", "unieval"), []),  # the list has neither
    ],
)
def test_stages_that_were_asked_for_are_run_in_the_order_of_the_list(stages, chosen) -> None:
    got = chosen_stages(stages, LIST)
    assert sorted(got) == sorted(chosen)
    assert got == [stage for stage in LIST.stages if stage in chosen]


def test_a_classifier_that_is_not_in_the_list_is_named_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"--stages classifier:tox: .* it has toxic"):
        chosen_stages(("classifier:tox",), LIST)
    plain = LIST.model_copy(update={"classifiers": {}})
    with pytest.raises(UserError, match="it has none"):
        chosen_stages(("classifier:tox",), ModelList(**plain.model_dump(exclude_unset=True)))


def test_a_rule_needs_the_names_of_all_models_and_neighbours_those_of_the_encoder() -> None:
    assert needed_models(("rule",), LIST, []) == list(LIST.stages)
    assert needed_models(("knn",), LIST, ["reward"]) == ["reward", "embed"]
    assert needed_models(("embed", "knn"), LIST, ["embed"]) == ["embed"]
    assert needed_models(("ingest",), LIST, []) == []
