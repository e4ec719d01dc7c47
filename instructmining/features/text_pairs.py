"""Pairs of examples whose texts are nearly the same: MinHash of Spark ML, banded, then checked.

A text is the set of its runs of three words. Spark's `MinHashLSH` hashes each set; two examples are
compared where all hashes of one of several bands agree, which two alike texts do almost surely and
two unlike texts hardly ever. Each pair that meets is compared exactly, so that no pair is reported
that is less alike than asked for; a few may be missed.
"""

import math

from pyspark.ml.feature import HashingTF, MinHashLSH
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

RUN = 3  # words
ROWS = 4  # hashes of a band
MISSED = 1e-3  # of the pairs at the threshold, in expectation
_MOST_BANDS = 64
_BUCKETS = 1 << 20  # of the hashed runs; the comparison itself uses the runs
_SEED = 12
# Scripts that are written without spaces between words count by character.
_ALONE = r"\p{IsHan}\p{IsHiragana}\p{IsKatakana}\p{IsThai}\p{IsLao}\p{IsKhmer}\p{IsMyanmar}"
_WORD = rf"([{_ALONE}]|[\p{{L}}\p{{N}}&&[^{_ALONE}]]+)"


def bands_for(threshold: float) -> int:
    """How many bands find all but `MISSED` of the pairs that are exactly that alike.

    With hashes that agree with probability s, a band of r agrees with s^r and one of b bands with
    1 - (1 - s^r)^b (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4).
    """
    agree = min(threshold**ROWS, 1 - 1e-9)
    return max(1, min(_MOST_BANDS, math.ceil(math.log(MISSED) / math.log1p(-agree))))


def runs_of(text: Column) -> Column:
    """The distinct runs of three words of a text; of a shorter text all its words as one."""
    words = F.regexp_extract_all(F.lower(text), F.lit(_WORD), F.lit(1))
    # Given to a function, the words of a text are looked for once, not again for every run of them.
    return F.array_distinct(F.transform(F.array(words), _runs)[0])


def _runs(words: Column) -> Column:
    starts = F.sequence(F.lit(1), F.greatest(F.size(words) - (RUN - 1), F.lit(1)))
    return F.transform(starts, lambda start: F.concat_ws(" ", F.slice(words, start, RUN)))


def similar_pairs(examples: DataFrame, threshold: float) -> DataFrame:
    """Pairs of examples with a Jaccard similarity of their runs of at least `threshold`.

    Args:
        examples: `example_id`, `text`; a text without a word is like no other.
        threshold: over 0, up to 1.

    Returns:
        `first`, `second` (example ids, the smaller first), `similarity`; each pair once.
    """
    bands = bands_for(threshold)
    sets = examples.select("example_id", runs_of(F.col("text")).alias("runs"))
    sets = sets.where("array_join(runs, '') != ''")
    counted = HashingTF(
        inputCol="runs", outputCol="vector", numFeatures=_BUCKETS, binary=True
    ).transform(sets)
    hashing = MinHashLSH(
        inputCol="vector", outputCol="hashes", numHashTables=bands * ROWS, seed=_SEED
    )
    model = hashing.fit(counted.limit(1))
    hashed = model.transform(counted).select("example_id", _bands(bands).alias("bands"))
    keys = hashed.select("example_id", F.posexplode("bands").alias("band", "key"))
    one, other = (keys.withColumnRenamed("example_id", name) for name in ("first", "second"))
    met = one.join(other, ["band", "key"]).where(F.col("first") < F.col("second"))
    met = met.select("first", "second").distinct()
    for side in ("first", "second"):
        runs = sets.select(F.col("example_id").alias(side), F.col("runs").alias(f"runs_{side}"))
        met = met.join(runs, side)
    shared = F.size(F.array_intersect("runs_first", "runs_second"))
    either = F.size(F.array_union("runs_first", "runs_second"))
    pairs = met.select("first", "second", (shared / either).alias("similarity"))
    return pairs.where(F.col("similarity") >= threshold)


def _bands(count: int) -> Column:
    """One hash for each band: of the `ROWS` MinHash values in it."""
    values = [F.col("hashes")[place] for place in range(count * ROWS)]
    return F.array(
        *(
            F.xxhash64(*(_number(value) for value in values[start : start + ROWS]))
            for start in range(0, count * ROWS, ROWS)
        )
    )


def _number(vector: Column) -> Column:
    """The one value of a vector of length 1."""
    return vector_to_array(vector)[0]
