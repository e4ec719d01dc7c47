"""What Spark's tasks sent to the driver, by Spark's own account of its stages."""

from typing import Any

from pyspark.sql import SparkSession


def results(spark: SparkSession) -> dict[tuple[int, int], int]:
    """Bytes of the tasks' results by stage and attempt, of all that Spark still knows."""
    context: Any = spark.sparkContext._jsc.sc()
    context.listenerBus().waitUntilEmpty()
    java: Any = spark._jvm
    nothing = spark.sparkContext._gateway.new_array(java.double, 0)
    stages = context.statusStore().stageList(
        None, False, False, nothing, java.java.util.ArrayList()
    )
    known = [stages.apply(i) for i in range(stages.size())]
    return {(stage.stageId(), stage.attemptId()): stage.resultSize() for stage in known}


def sent_since(spark: SparkSession, before: dict[tuple[int, int], int]) -> int:
    """Bytes of the results of all stages that are not in `before`, of `results`."""
    return sum(size for stage, size in results(spark).items() if stage not in before)
