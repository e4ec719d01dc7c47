"""What `--cascade` takes, and what it refuses before anything is read."""

import pytest

from instructmining.errors import UserError
from instructmining.models.lists import ModelList
from instructmining.settings.loading import load_settings
from jobs.cascading.sampled import check_cascades
from jobs.commands.values import shares

MODELS = {
    "name": "m",
    "reward": {"kind": "mtld", "indicators": ["reward"]},
    "embed": {"kind": "sentence_encoder", "source": "s", "indicators": ["knn_6"]},
    "classifiers": {"oda": {"kind": "imported", "source": "column:oda", "indicators": ["oda"]}},
}


def check(cascades: dict[str, float], **other: object) -> None:
    settings = load_settings(options={"cascade": {"shares": cascades}})
    check_cascades(settings.cascade, ModelList.model_validate(MODELS | other))


def test_shares_are_read_by_stage() -> None:
    assert shares(["reward=0.05", "unieval=.1"]) == {"reward": 0.05, "unieval": 0.1}
    check({"reward": 0.05})
    check({}, embed=None)


@pytest.mark.parametrize("texts", [["reward"], ["reward=much"], ["=0.1"], ["a=0.1", "a=0.2"]])
def test_another_form_is_refused(texts: list[str]) -> None:
    with pytest.raises(UserError, match=r"STAGE=SHARE, such as reward=0\.05"):
        shares(texts)


@pytest.mark.parametrize(
    ("cascades", "other", "said"),
    [
        ({"perplexity": 0.1}, {}, "no such stage; name one of reward$"),
        ({"embed": 0.1}, {}, "the others are predicted from it"),
        ({"oda": 0.1}, {}, "in the data already"),
        ({"reward": 0}, {}, "above 0 and below 1"),
        ({"reward": 5}, {}, "--cascade reward=5: a share is above 0 and below 1"),
        ({"reward": 0.1}, {"embed": None}, "no embeddings to predict from; add the stage embed"),
    ],
)
def test_a_cascade_that_cannot_be_is_one_sentence(
    cascades: dict[str, float], other: dict[str, object], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        check(cascades, **other)
