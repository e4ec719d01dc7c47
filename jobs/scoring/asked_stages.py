"""Which stages of a model list a run goes through, and whose models must be at hand."""

from collections.abc import Sequence

from instructmining.errors import UserError
from instructmining.models.lists import ModelList
from instructmining.settings.sections import STAGES


def chosen_stages(stages: Sequence[str], models: ModelList) -> list[str]:
    """The model stages to run, in order: those asked for that the model list has.

    Raises:
        UserError: a classifier is asked for that the list does not have.
    """
    asked = {stage.removeprefix("classifier:") for stage in stages if ":" in stage}
    for name in sorted(asked - set(models.classifiers)):
        known = ", ".join(models.classifiers) or "none"
        raise UserError(
            f"--stages classifier:{name}: the model list {models.name!r} has no such "
            f"classifier; it has {known}"
        )
    named = [stage.removeprefix("classifier:") for stage in stages]
    wanted = [*named, *models.classifiers] if stages == STAGES else named
    return [stage for stage in models.stages if stage in wanted]


def needed_models(stages: Sequence[str], models: ModelList, chosen: list[str]) -> list[str]:
    """Stages whose models have to be at hand: a rule is chosen by the fingerprints of all."""
    if "rule" in stages:
        return list(models.stages)
    neighbors = ["embed"] if "knn" in stages and "embed" in models.stages else []
    return list(dict.fromkeys([*chosen, *neighbors]))
