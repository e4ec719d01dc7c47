"""The indicators, one file each, on plain arrays, and the registry of their kinds. No Spark."""

from collections.abc import Mapping
from typing import NamedTuple

from instructmining.errors import UserError
from instructmining.models import lists
from instructmining.models.imported import with_imported
from instructmining.models.lists import (
    IMPORTED,
    ModelList,
    ModelSpec,
    ResolvedModel,
)
from instructmining.settings.sections import Tracking


class Kind(NamedTuple):
    """What measures the entries of one kind of a model list.

    Attributes:
        scorer: "module:class", the module in this package. It is named, not imported: kinds
            without a neural model need no torch.
        formula: version of the arithmetic. Raise it when the same weights give other numbers:
            stored values are then measured again instead of mixed with new ones.
        vectors: whether it gives a vector of each example, not numbers.
    """

    scorer: str
    formula: int
    vectors: bool = False


KINDS = {
    "causal_lm": Kind("perplexity:PerplexityScorer", 1),
    # The formula of these two is also the version of what they send.
    "endpoint_chat": Kind("endpoint_chat:ChatScorer", 1),
    "endpoint_reward": Kind("endpoint_reward:RewardScorer", 1),
    "gpt_neox_reward": Kind("reward:GPTNeoXRewardScorer", 2),
    IMPORTED: Kind("", 1),  # nothing is loaded: the numbers are in the store, see jobs/importing
    "mtld": Kind("mtld:MtldScorer", 1),
    "python": Kind("function:FunctionScorer", 1),
    "quality_heads": Kind("quality:QualityScorer", 1),
    "representation": Kind("representation:RepresentationScorer", 1, vectors=True),
    "sentence_encoder": Kind("embedding:EmbeddingScorer", 1, vectors=True),
    "sequence_classifier": Kind("classifier:SequenceClassifierScorer", 2),
    "unieval": Kind("unieval:UniEvalScorer", 1),
    "yes_no": Kind("yes_no:YesNoScorer", 1),
}


def load_model_list(name: str) -> ModelList:
    """Read a model list, as `instructmining.models.load_model_list`; refuse unknown kinds."""
    # A list's perplexity model also gives representations; no entry is of that kind.
    return lists.load_model_list(name, KINDS.keys() - {"representation"})


def models_of(name: str, indicators: Mapping[str, str], version: str) -> ModelList:
    """The model list of a command, with the indicators that the data hold already.

    Args:
        name: the setting `models`.
        indicators: the setting of that name, indicator to column.
        version: of the columns, the setting `indicator_version`.
    """
    return with_imported(load_model_list(name), indicators, version)


def resolve(spec: ModelSpec, tracking: Tracking | None = None) -> ResolvedModel:
    """Find the model's files on the driver (downloading a hub id) and fingerprint them.

    Args:
        spec: an entry of a model list.
        tracking: where MLflow sources are looked up; None: the default store.

    Raises:
        UserError: there is no such kind or model, or a file of it is damaged.
    """
    return lists.find_model(spec, kind_of(spec).formula, tracking)


def kind_of(spec: ModelSpec) -> Kind:
    """The registered kind of an entry.

    Raises:
        UserError: there is none of that name.
    """
    if spec.kind not in KINDS:
        raise UserError(f"there is no kind {spec.kind!r}; choose one of {', '.join(sorted(KINDS))}")
    return KINDS[spec.kind]
