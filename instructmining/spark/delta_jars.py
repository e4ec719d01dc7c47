"""Delta's jars for a session that we start: fetched once, or from a folder."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pyspark.sql import SparkSession

from instructmining.errors import UserError
from instructmining.packaged import conf_folder


def delta_jars() -> dict[str, str]:
    """Spark settings that put Delta's jars on the class path.

    The first session on a machine fetches them into a cache of our own; later ones name the files
    and need no network. `INSTRUCTMINING_JARS` names a folder of jars for machines without one.
    """
    named_folder = os.environ.get("INSTRUCTMINING_JARS")
    folder = Path(named_folder) if named_folder else jar_cache() / "jars"
    # Ivy also fetches what Spark itself has (Hadoop, Parquet, logging): only Delta's own are named.
    jars_of_delta = [
        jar
        for group in ("io.delta_*", "io.unitycatalog_*", "delta-*", "unitycatalog-*")
        for jar in folder.glob(f"{group}.jar")
    ]
    jars = sorted(map(str, jars_of_delta))
    if jars:
        return {"spark.jars": ",".join(jars)}
    if named_folder:
        raise UserError(
            f"INSTRUCTMINING_JARS={named_folder} holds no .jar; put delta-spark's jars there"
        )
    return {
        "spark.jars.packages": _delta_package(),
        "spark.jars.ivy": str(jar_cache()),
        "spark.jars.ivySettings": str(conf_folder() / "ivysettings.xml"),
    }


def jar_cache() -> Path:
    """Where the jars of this pair of Spark and Delta are kept."""
    try:
        pair = f"spark-{version('pyspark')}-delta-{version('delta-spark')}"
    except PackageNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed: pip install 'instructmining[local]'"
        ) from None
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return root / "instructmining" / pair


def _delta_package() -> str:
    from delta import configure_spark_with_delta_pip

    builder = configure_spark_with_delta_pip(SparkSession.Builder())
    return str(builder._options["spark.jars.packages"])
