"""How many examples to choose, by finetunes on several sizes: `select --size auto`.

What finetunes is imported where it does: `select` alone needs no torch.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.evaluating.arms import sized
from instructmining.selecting.selection import one_size
from instructmining.settings.sections import Settings
from instructmining.tracking.mlflow_runs import log_run

if TYPE_CHECKING:
    from jobs.evaluating.size_curve import SizeCurve


def measure_sizes(spark: SparkSession, settings: Settings) -> "SizeCurve":
    """The curve of `evaluate.sizes` as an MLflow run of its own; prints its page.

    Raises:
        UserError: a mistake in the settings or the data, or sizes that the pool does not have.
    """
    from jobs.evaluating.arm_runs import Experiment
    from jobs.evaluating.setup import picker, prepare
    from jobs.evaluating.size_curve import size_curve

    with ExitStack() as stack:
        setup = prepare(spark, settings, stack)
        tracked = stack.enter_context(log_run(settings.tracking, f"sizes of {settings.pool}"))
        tracked.log_params(settings.model_dump())
        title = f"pool {settings.pool}, rule {setup.choice.rule.name}"
        experiment = Experiment(setup.finetunes, settings, tracked.id)
        curve = size_curve(experiment, setup.pool, picker(setup), tracked, title)
    print(curve.page)
    return curve


def with_size(spark: SparkSession, settings: Settings) -> tuple[Settings, list[str]]:
    """Replace `select.size` by the number of examples that the finetunes find best.

    Returns:
        The settings, with `select.top` where a size was to be found, and what to know of it.

    Raises:
        UserError: another size beside it, no evaluation set, or what `measure_sizes` refuses.
    """
    select = settings.select
    if select.size is None:
        return settings, []
    one_size(select)
    if not select.size.startswith("auto"):
        raise UserError(f"--size {select.size}: write auto or auto:LOW-HIGH; a number is --top")
    if not settings.evaluate.evaluation:
        raise UserError(
            f"--size {select.size} finetunes to find the size: name with "
            "--eval NAME=DATA what the models are measured on"
        )
    evaluate = settings.evaluate.model_copy(update={"sizes": (select.size,)})
    curve = measure_sizes(spark, settings.model_copy(update={"evaluate": evaluate}))
    chosen = settings.model_copy(update={"select": sized(select, top=curve.best)})
    return chosen, [f"--size {select.size} chose {curve.best:,} examples", *curve.sentences]
