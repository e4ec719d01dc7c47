"""spark-submit of a program of ours to a standalone cluster of `bench.harness.standalone`."""

import os

from installed import run

from bench.harness.standalone import submission, submission_environment

# What makes a small run quick.
QUICK = (
    "--conf=spark.ui.enabled=false",
    "--conf=spark.databricks.delta.snapshotPartitions=1",
    "--conf=spark.sql.shuffle.partitions=2",
)


def submit(script, zip_file, *settings, arguments, python, cwd, **environment):
    """spark-submit of a program, as on a cluster where nothing of ours is installed."""
    return run(
        *submission(zip_file, script, *QUICK, *settings),
        *arguments,
        cwd=cwd,
        env={**os.environ, **submission_environment(str(python)), **environment},
    )
