"""What any program with Spark and Delta does at least, with the settings of a command on few rows.

`python -m bench.harness.bare_program FOLDER [--set A.B=VALUE]`: start a session, write 1,000 rows
to Delta, read them, stop.
"""

import argparse
import sys

from instructmining.settings.loading import load_settings
from instructmining.spark.session import get_session, spark_conf

ROWS = 1_000


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    chosen = parser.parse_args()
    spark, _ = get_session(spark_conf(load_settings(sets=chosen.sets).spark), little_data=True)
    spark.range(ROWS).write.format("delta").save(chosen.folder)
    if spark.read.format("delta").load(chosen.folder).count() != ROWS:
        sys.exit("the bare program lost rows")
    spark.stop()


if __name__ == "__main__":
    main()
