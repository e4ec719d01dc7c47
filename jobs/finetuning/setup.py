"""What every finetune of a command shares, decided and checked before anything is finetuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.finetunes.evaluation_sets import EvaluationSet, read_evaluation_sets
from instructmining.finetunes.runs import Task
from instructmining.models.lists import ModelList, ResolvedModel
from instructmining.settings.learning import Finetune
from instructmining.settings.sections import Measure, Settings
from instructmining.store.tables import Store
from jobs.checks.base_model import base_model, refuse_what_cannot_fit, training_dtype
from jobs.checks.resources import check_gpus
from jobs.finetuning.sharded import refuse_what_cannot_be_spread
from udfs.indicators import models_of, resolve


@dataclass(frozen=True)
class FinetuneSetup:
    """The common ground of all finetunes of `fit` or `evaluate`.

    Attributes:
        store: gets the runs.
        models: the model list that the pool was scored with.
        resolved: its models by stage.
        base: the model that is finetuned.
        sets: what every model is measured on; the first is the target.
        task: base, recipe and evaluation sets; part of every run's key.
        measure: device, dtype and token budget of the tasks.
        given: the evaluation sets as they were given; `sets` may hold a sample of them.
    """

    store: Store
    models: ModelList
    resolved: Mapping[str, ResolvedModel]
    base: ResolvedModel
    sets: Sequence[EvaluationSet]
    task: Task
    measure: Measure
    given: Sequence[EvaluationSet] = ()

    @property
    def recipe(self) -> Finetune:
        """How each model is finetuned."""
        return self.task.recipe

    @property
    def uses_embedded_models(self) -> bool:
        """Whether a model was trained on half 0 of the free pools, which must stay out then."""
        models = (self.base, *self.resolved.values())
        return any(model.spec.source.startswith("embedded:") for model in models)


def prepare_finetunes(
    spark: SparkSession, settings: Settings, evaluation: Sequence[str], prompts: int | None = None
) -> FinetuneSetup:
    """Check the cluster, resolve the models and read the evaluation sets.

    Args:
        spark: the session.
        settings: store, models, base, recipe and device.
        evaluation: names of evaluation data.
        prompts: most conversations of a set that models are measured on. None: all.

    Raises:
        UserError: a mistake in any of them, or a model that does not fit the memory.
    """
    finetune = settings.finetune
    store = Store.open(spark, settings.store)
    refuse_speculation(spark)
    check_gpus(dict(spark.conf.getAll), settings.measure)
    refuse_what_cannot_be_spread(spark, finetune, settings.measure)
    models = models_of(settings.models, settings.indicators, settings.indicator_version)
    resolved = {s: resolve(spec, settings.tracking) for s, spec in models.stages.items()}
    base = base_model(settings.fit.base, models, resolved, settings.tracking)
    dtype = training_dtype(spark, finetune, settings.measure)
    measure = settings.measure.model_copy(update={"dtype": dtype})
    refuse_what_cannot_fit(spark, finetune, measure, base)
    given = read_evaluation_sets(spark, evaluation)
    sets = [one.sample(prompts) for one in given]
    versions = {one.name: one.version for one in sets}
    task = Task(base.spec.source, base.fingerprint, finetune, versions, dtype)
    return FinetuneSetup(store, models, resolved, base, sets, task, measure, given)


def refuse_speculation(spark: SparkSession) -> None:
    """Refuse a second copy of a finetune on another node: it is wasted and writes nothing.

    Raises:
        UserError: `spark.speculation` is on.
    """
    if (spark.conf.get("spark.speculation", "false") or "").lower() == "true":
        raise UserError("spark.speculation starts slow finetunes a second time: set it to false")
