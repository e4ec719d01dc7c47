"""Ridge over a vector and named numbers: as a matrix for the fit, as a Column for the pool."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F

from instructmining.cascading.ridge import Numbers, Ridge
from instructmining.store.distributions import quoted


def damped(number: Column) -> Column:
    """sign(x) · log(1 + |x|): lengths and perplexities have long tails, which ridge follows."""
    return F.signum(number) * F.log1p(F.abs(number))


@dataclass(frozen=True)
class Inputs:
    """What predictions are made of: the vector, then numbers, then which of them are absent.

    Attributes:
        names: of the numbers.
        means: of each over the sample; stands in where it is absent.
        gaps: those that are absent in some rows of the sample.
    """

    names: tuple[str, ...]
    means: tuple[float, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str], numbers: Numbers) -> "Inputs":
        """Those of [n, k] numbers, NaN where absent, that at least half of the rows have."""
        known = np.isfinite(numbers)
        columns = [i for i in range(len(names)) if known[:, i].mean() >= 0.5]
        return cls(
            tuple(names[i] for i in columns),
            tuple(float(numbers[known[:, i], i].mean()) for i in columns),
            tuple(names[i] for i in columns if not known[:, i].all()),
        )

    def matrix(self, vectors: Numbers, names: Sequence[str], numbers: Numbers) -> Numbers:
        """[n, d] of vectors [n, 384] and the numbers [n, k] of these names."""
        columns = [numbers[:, list(names).index(name)] for name in self.names]
        filled = [
            np.where(np.isfinite(column), column, mean)
            for column, mean in zip(columns, self.means, strict=True)
        ]
        absent = [~np.isfinite(columns[self.names.index(name)]) for name in self.gaps]
        return np.column_stack([vectors, *filled, *absent]).astype(np.float64)

    def predicted(self, ridge: Ridge, vector: str) -> Column:
        """What `ridge`, fitted on `matrix`, says of a row with the vector and the numbers.

        Null where the vector is.
        """
        width = len(ridge.weights) - len(self.names) - len(self.gaps)
        weights = ridge.weights.tolist()
        # As one text: an array of as many literals is as many calls to the JVM.
        of_vector = F.split(F.lit(",".join(map(repr, weights[:width]))), ",").cast("array<double>")
        products = F.zip_with(vector, of_vector, lambda one, other: one.cast("double") * other)
        total = F.aggregate(products, F.lit(ridge.intercept), lambda sum, part: sum + part)
        terms = [
            F.coalesce(F.nanvl(quoted(name), F.lit(None).cast("double")), F.lit(mean)) * weight
            for name, mean, weight in zip(self.names, self.means, weights[width:], strict=False)
        ]
        terms += [
            F.when(quoted(name).isNull() | F.isnan(quoted(name)), weight).otherwise(0.0)
            for name, weight in zip(self.gaps, weights[width + len(self.names) :], strict=True)
        ]
        bounded = F.greatest(
            F.least(reduce(add, terms, total), F.lit(ridge.high)), F.lit(ridge.low)
        )
        return F.when(F.col(vector).isNotNull(), bounded)
