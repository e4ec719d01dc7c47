"""What a fit decides before anything is finetuned: candidates, design, model, evaluation sets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from instructmining.finetunes.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.finetunes.runs import Task
from instructmining.fitting.subset_design import Design, draw_subsets
from instructmining.models.lists import ResolvedModel
from instructmining.scoring.scores import Measured
from instructmining.settings.sections import Settings
from instructmining.store.tables import Store
from jobs.checks.base_model import base_model, refuse_what_cannot_fit, training_dtype
from jobs.checks.resources import check_gpus
from jobs.finetuning.candidates import Candidates, gather
from jobs.finetuning.sharded import refuse_what_cannot_be_spread
from jobs.finetuning.waves import refuse_speculation
from udfs.indicators import load_model_list, resolve


@dataclass(frozen=True)
class Setup:
    """What is decided before anything is finetuned."""

    store: Store
    pools: Sequence[str]
    resolved: Mapping[str, ResolvedModel]
    measured: Measured
    base: ResolvedModel
    sets: Sequence[EvaluationSet]
    candidates: Candidates
    design: Design
    task: Task

    @property
    def target(self) -> str:
        """The evaluation set whose log loss is fitted."""
        return self.sets[0].name


def prepare(spark: SparkSession, settings: Settings) -> Setup:
    """Check what can be checked before hours are spent, and draw the subsets."""
    fit = settings.fit
    store = Store.open(spark, settings.store)
    refuse_speculation(spark)
    check_gpus(dict(spark.conf.getAll), settings.measure)
    refuse_what_cannot_be_spread(spark, settings)
    models = load_model_list(settings.models)
    resolved = {s: resolve(spec, settings.tracking) for s, spec in models.stages.items()}
    measured = Measured(models, {s: m.fingerprint for s, m in resolved.items()}, settings.knn)
    base = base_model(settings, resolved)
    refuse_what_cannot_fit(spark, settings, base)
    sets = read_evaluation_sets(spark, fit.evaluation)
    embedded = any(m.spec.source.startswith("embedded:") for m in (base, *resolved.values()))
    pools = fit.pools or (settings.pool,)
    candidates = gather(
        store,
        pools,
        measured,
        fit.candidates,
        fit.seed,
        fit.indicators,
        [i for evaluation in sets for i in evaluation.ids],
        embedded,
    )
    design = draw_subsets(
        candidates.rows, candidates.indicators, fit.subsets, fit.size, fit.seed, fit.design
    )
    task = Task(
        base.spec.source,
        base.fingerprint,
        settings.finetune,
        {evaluation.name: evaluation.version for evaluation in sets},
        training_dtype(spark, settings),
    )
    return Setup(store, pools, resolved, measured, base, sets, candidates, design, task)
