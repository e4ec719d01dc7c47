"""Which stages a run measures on a sample only, and whether that is possible."""

from dataclasses import replace
from functools import reduce

from instructmining.cascading.sample import in_sample
from instructmining.errors import UserError
from instructmining.models.lists import IMPORTED, ModelList
from instructmining.settings.cascading import Cascade
from jobs.scoring.stages import Pool


def check_cascades(cascade: Cascade, models: ModelList) -> None:
    """Refuse what cannot be a cascade before anything is read.

    Raises:
        UserError: no such stage, one that costs nothing or that the others need, a share that is
            none, or no embeddings to predict from.
    """
    for stage, share in cascade.shares.items():
        option = f"--cascade {stage}={share:g}"
        spec = models.stages.get(stage)
        possible = [
            name
            for name, other in models.stages.items()
            if name != "embed" and other.kind != IMPORTED
        ]
        if spec is None or stage not in possible:
            why = (
                "the others are predicted from it"
                if stage == "embed"
                else "its numbers are in the data already"
                if spec is not None
                else f"the model list {models.name!r} has no such stage"
            )
            raise UserError(f"{option}: {why}; name one of {', '.join(possible)}")
        if not 0 < share < 1:
            raise UserError(
                f"{option}: a share is above 0 and below 1, such as 0.05; leave --cascade out to "
                "measure all"
            )
        if "embed" not in models.stages:
            raise UserError(
                f"{option}: the model list {models.name!r} has no embeddings to predict from; "
                "add the stage embed, or leave --cascade out"
            )


def sampled(pool: Pool, stage: str, cascade: Cascade) -> Pool:
    """The pool as a stage sees it: of a cascade, only the examples of its sample."""
    share = cascade.shares.get(stage)
    if share is None:
        return pool
    return replace(pool, examples=pool.examples.where(in_sample(share, cascade.seed)))


def measured_by_all(pool: Pool, cascade: Cascade) -> Pool:
    """The pool with the examples that every stage measures."""
    return reduce(lambda part, stage: sampled(part, stage, cascade), cascade.shares, pool)
