"""What a fit decides before anything is finetuned: candidates and the design of the subsets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd
from pyspark.sql import SparkSession

from instructmining.finetunes.runs import ids_hash
from instructmining.fitting.dirt import dirt_sentence
from instructmining.fitting.drawn_subsets import copies_in, read_designs
from instructmining.fitting.hinges import hinge_means, hinges_of
from instructmining.fitting.subset_design import Design, design_of, draw_at_random, draw_subsets
from instructmining.rules.hinge import Hinge
from instructmining.scoring.scores import Measured
from instructmining.settings.sections import Settings
from jobs.finetuning.candidates import Candidates, gather
from jobs.finetuning.setup import FinetuneSetup, prepare_finetunes
from jobs.fitting.spoiled import Copies, Measuring, measured_copies, spoil


@dataclass(frozen=True)
class Setup:
    """What is decided before anything is finetuned.

    Attributes:
        finetunes: the common ground of the runs.
        pools: drawn from.
        measured: by what.
        candidates: rows that subsets are drawn from.
        design: the subsets that the rule is fitted on.
        random: those it is tested on.
        hinges: by name, what may become a term beside the indicators.
        copies: what is known of spoiled copies; None where none were wanted.
    """

    finetunes: FinetuneSetup
    pools: Sequence[str]
    measured: Measured
    candidates: Candidates
    design: Design
    random: Design
    hinges: Mapping[str, Hinge] = field(default_factory=dict)
    copies: Copies | None = None

    @property
    def offered(self) -> list[str]:
        """All that may become a term of the rule."""
        return [*self.candidates.indicators, *self.hinges]

    @cached_property
    def subsets(self) -> dict[str, tuple[str, ...]]:
        """Example ids of every subset, by its hash."""
        ids = self.candidates.rows["example_id"].to_numpy()
        drawn = (*self.design.subsets, *self.random.subsets)
        members = (tuple(map(str, ids[rows])) for rows in drawn)
        return {ids_hash(one): one for one in members}

    @cached_property
    def hinge_means(self) -> pd.DataFrame:
        """The mean of every offered hinge over every subset, by the subset's hash."""
        return self.means_of(self.hinges)

    def means_of(self, hinges: Mapping[str, Hinge]) -> pd.DataFrame:
        """The same of other hinges, such as those of a rule that is compared."""
        drawn = (*self.design.subsets, *self.random.subsets)
        return hinge_means(self.candidates.rows, hinges, drawn).set_axis(list(self.subsets))

    @property
    def dirt(self) -> str:
        """How many subsets hold spoiled rows, or why none does, in a sentence."""
        if self.copies is not None and self.copies.problem:
            return self.copies.problem
        return dirt_sentence(list(self.subsets.values())[: len(self.design.subsets)])

    @property
    def target(self) -> str:
        """The evaluation set whose log loss is fitted."""
        return self.finetunes.sets[0].name


def prepare(spark: SparkSession, settings: Settings) -> Setup:
    """Check what can be checked before hours are spent, and draw the subsets.

    Raises:
        UserError: a mistake in the settings or the data.
    """
    fit = settings.fit
    finetunes = prepare_finetunes(spark, settings, fit.evaluation, fit.prompts)
    fingerprints = {stage: model.fingerprint for stage, model in finetunes.resolved.items()}
    measured = Measured(finetunes.models, fingerprints, settings.knn)
    pools = fit.pools or (settings.pool,)
    candidates = gather(
        finetunes.store,
        pools,
        measured,
        fit.candidates,
        fit.seed,
        fit.indicators,
        [i for evaluation in finetunes.given for i in evaluation.ids],
        finetunes.uses_embedded_models,
    )
    rows, names = candidates.rows, candidates.indicators
    measuring = Measuring(finetunes.store, pools, finetunes.resolved, settings)
    if fit.drawn is not None:
        copies = measured_copies(measuring, candidates, copies_in(fit.drawn))
        design, random = read_designs(fit.drawn, copies.candidates.rows, names)
    else:
        drawn = draw_subsets(rows, names, fit.subsets, fit.size, fit.seed, fit.design)
        tested = draw_at_random(len(rows), fit.size, fit.random_subsets, fit.seed)
        random = design_of(rows, names, tested)
        copies, design = spoil(measuring, candidates, drawn)
    # In sample three terms for an indicator would find something anywhere: only `cv` counts them.
    offered = fit.hinges and fit.criterion == "cv"
    hinges = hinges_of(rows, names) if offered else {}
    return Setup(finetunes, pools, measured, copies.candidates, design, random, hinges, copies)
