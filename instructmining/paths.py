"""Paths between Spark, which encodes and globs them, and people, who write them as they are."""

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

# A local `.crc` file that was left behind by an older version of a file must not hide the new one.
LOCAL_AS_IT_IS = {
    "fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "fs.file.impl.disable.cache": "true",
}


def escaped(path: str) -> str:
    """A path for Spark's readers, its `[`, `*`, `{` and so on taken as they stand."""
    return re.sub(r"([\\\[\]{}*?,])", r"\\\1", path)


def has_glob(path: str) -> bool:
    """Whether Spark would read the path as a pattern."""
    return re.search(r"[\[{*?]", path) is not None


def shown(path: str) -> str:
    """A local file's plain path instead of its URI; anything else as it is."""
    return re.sub("^file:/+", "/", path)


def plain(encoded: Column) -> Column:
    """`_metadata.file_path` as `shown` would give it: decoded, and local files without a scheme."""
    path = F.regexp_replace(encoded, "^file:/+", "/")
    # url_decode would read a plus sign as a blank.
    return F.url_decode(F.replace(path, F.lit("+"), F.lit("%2B")))
