"""Which examples a cascade measures: a hash of seed and example id, whatever else is in the pool.

A larger share holds every smaller one, and an example that joins the pool moves no other in or out.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

_PLACES = 1_000_000


def in_sample(share: float, seed: int) -> Column:
    """Whether a row, which has `example_id`, is among the share of all examples."""
    key = F.xxhash64(F.lit("cascade"), F.lit(seed).cast("long"), F.col("example_id"))
    return F.pmod(key, F.lit(_PLACES)) < round(share * _PLACES)
