"""The rule: a linear model of the log loss after fine-tuning; lower is better.

    predicted_log_loss = intercept + Σ coefficient × term

A term is an indicator, or a hinge of one (`hinge.Hinge`). One SQL text states it; the Spark columns
are parsed from that text, so what a user exports and what a job computes cannot differ. A null or
NaN indicator makes the prediction null.
"""

import hashlib
import json
import math
import operator
from collections.abc import Mapping
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from instructmining.errors import UserError
from instructmining.packaged import conf_folder
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.hinge import Hinge
from instructmining.rules.rule_sql import Dialect, number, value_sql

if TYPE_CHECKING:
    from pyspark.sql import Column  # imported where a column is made: `--help` needs no Spark


class LinearRule(BaseModel):
    """Intercept and coefficients, with what they were fitted on.

    Attributes:
        coefficients: log loss per unit of each term; a negative one means more is better.
        hinges: of the terms that are not indicators, by their name.
        covariance: of the estimates, in the order intercept, then as in `coefficients`.
        models: by indicator.
        ranges: by indicator, the lowest and highest mean of the subsets it was fitted on, with a
            margin; of rules fitted before that was so, of their examples.
        provenance: free: where the numbers come from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    version: str = "1"
    target: Literal["log_loss"] = "log_loss"
    intercept: float
    coefficients: dict[str, float] = Field(min_length=1)
    hinges: dict[str, Hinge] = Field(default_factory=dict)
    covariance: tuple[tuple[float, ...], ...] | None = None
    models: dict[str, FittedModel] = Field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if stray := set(self.hinges) - set(self.coefficients):
            raise ValueError(f"hinges without a coefficient: {sorted(stray)}")
        if wrong := [term for term, hinge in self.hinges.items() if hinge.name != term]:
            right = self.hinges[wrong[0]].name
            raise ValueError(f"the hinge {wrong[0]} must be called {right}, as it is defined")
        for field in ("models", "ranges"):
            if stray := set(getattr(self, field)) - set(self.indicators):
                raise ValueError(f"{field} name indicators without a coefficient: {sorted(stray)}")
        if self.covariance is not None:
            _check_covariance(self.covariance, size=1 + len(self.coefficients))
        return self

    @property
    def indicators(self) -> list[str]:
        """What must be measured for a prediction, each once, in the order of the terms."""
        return list(dict.fromkeys(map(self.indicator_of, self.coefficients)))

    def indicator_of(self, term: str) -> str:
        """The indicator that a term is made of: its own name, or that of its hinge."""
        hinge = self.hinges.get(term)
        return term if hinge is None else hinge.indicator

    def predicted_log_loss(self) -> "Column":
        """The prediction; null where an indicator is null or NaN."""
        from pyspark.sql import functions as F

        return F.expr(self.to_sql("spark"))

    def prediction_of(self, values: Mapping[str, float | None]) -> float | None:
        """The same of one row at hand; None where an indicator is absent, null or NaN."""
        total = self.intercept
        for name, factor in self.coefficients.items():
            value = values.get(self.indicator_of(name))
            if value is None or math.isnan(value):
                return None
            total += factor * (self.hinges[name].of(value) if name in self.hinges else value)
        return total

    def contributions(self) -> "dict[str, Column]":
        """`contribution_<term>` to coefficient × term; with the intercept they add up."""
        from pyspark.sql import functions as F

        return {
            f"contribution_{name}": F.expr(f"{number(factor)} * {self._term_sql(name, 'spark')}")
            for name, factor in self.coefficients.items()
        }

    def predicted_log_loss_se(self) -> "Column | None":
        """Standard error of the predicted mean, √(xᵀ C x); None without a covariance.

        It holds what the estimation leaves open, not the spread of single outcomes.
        """
        from pyspark.sql import functions as F

        if self.covariance is None:
            return None
        values = [F.lit(1.0)]
        values += [F.expr(self._term_sql(name, "spark")) for name in self.coefficients]
        terms = [
            F.lit(self.covariance[i][j] * (1 if i == j else 2)) * values[i] * values[j]
            for i in range(len(values))
            for j in range(i + 1)
        ]
        variance = reduce(operator.add, terms)
        # Rounding can leave a variance of zero slightly below it; `greatest` would hide a null.
        return F.sqrt(F.when(variance < 0, 0.0).otherwise(variance))

    def out_of_range(self) -> "Column":
        """The indicators outside the range the rule was fitted on: `array<string>`, never null."""
        from pyspark.sql import functions as F

        values = {name: F.expr(value_sql(name, "spark")) for name in self.ranges}
        outside = [
            F.when((values[name] < low) | (values[name] > high), F.lit(name))
            for name, (low, high) in self.ranges.items()
        ]
        return F.array_compact(F.array(*outside).cast("array<string>"))

    def to_sql(self, dialect: Dialect = "spark") -> str:
        """The prediction as a SELECT expression over the indicators' columns."""
        sql = number(self.intercept)
        for name, factor in self.coefficients.items():
            sign = "-" if factor < 0 else "+"
            sql += f" {sign} {number(abs(factor))} * {self._term_sql(name, dialect)}"
        return sql

    def _term_sql(self, term: str, dialect: Dialect) -> str:
        value = value_sql(self.indicator_of(term), dialect)
        if (hinge := self.hinges.get(term)) is None:
            return value
        return f"({hinge.sql(value)})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides a number: equal however the rule is named or ordered."""
        names = ("", *self.coefficients)  # "" is the intercept
        definition = {
            "target": self.target,
            "coefficients": {"": self.intercept, **self.coefficients},
            "covariance": self.covariance
            and {
                f"{a}\0{b}": self.covariance[i][j]
                for i, a in enumerate(names)
                for j, b in enumerate(names)
            },
            "models": {
                name: model.model_dump(exclude={"note"}) for name, model in self.models.items()
            },
            "ranges": self.ranges,
        }
        if self.hinges:  # a rule without any keeps the fingerprint from before there were hinges
            definition["hinges"] = {term: hinge.model_dump() for term, hinge in self.hinges.items()}
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()

    def mismatches(self, fingerprints: Mapping[str, str], sources: Mapping[str, str]) -> list[str]:
        """One sentence per indicator that another model measures now than when it was fitted.

        Args:
            fingerprints: by indicator, of the models that measure now.
            sources: by indicator, their names; compared where the rule knows no fingerprint,
                by the last part of a path, so that a local copy of a hub model is the same.
        """
        sentences = []
        for name in self.indicators:
            fitted = self.models.get(name, FittedModel())
            now = sources.get(name, "another model")
            if name not in fingerprints and name not in sources:
                continue  # not measured at all: there is no prediction to warn about
            if not fitted.is_that(fingerprints.get(name), now):
                known = " or ".join(fitted.sources) or "an unknown model"
                sentences.append(f"{name} was fitted with {known} and is measured with {now}")
        return sentences

    def to_json(self) -> str:
        """The record that MLflow keeps and `load_rule` reads."""
        absent = None if self.hinges else {"hinges"}
        return self.model_dump_json(indent=2, exclude=absent) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "the rule") -> Self:
        """Read `to_json`'s text.

        Raises:
            UserError: not a rule; names the first field that is wrong, and `origin`.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "rule"
            raise UserError(f"{origin} is not a rule: {where}: {first['msg']}") from None


def built_in_rules() -> dict[str, LinearRule]:
    """The rules that ship with the package, by name: the paper's, and ours for our models."""
    files = sorted((conf_folder() / "rules").glob("*.json"))
    rules = (LinearRule.from_json(f.read_text(encoding="utf-8"), f.name) for f in files)
    return {rule.name: rule for rule in rules}


def read_rule(source: str) -> LinearRule:
    """A built-in rule by name, or the rule in a JSON file."""
    built_in = built_in_rules()
    if source in built_in:
        return built_in[source]
    if not Path(source).is_file():
        raise UserError(
            f"no rule {source!r}: name one of {', '.join(built_in)}, a JSON file, "
            "or models:/NAME@ALIAS"
        )
    return LinearRule.from_json(Path(source).read_text(encoding="utf-8"), source)


def _check_covariance(matrix: tuple[tuple[float, ...], ...], size: int) -> None:
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"covariance must be {size} × {size}: the intercept comes first")
    if any(matrix[i][i] < 0 for i in range(size)):
        raise ValueError("covariance has a negative variance on its diagonal")
    for i in range(size):
        for j in range(i):
            rounding = 1e-9 * math.sqrt(matrix[i][i] * matrix[j][j])
            if abs(matrix[i][j] - matrix[j][i]) > rounding:
                raise ValueError("covariance must be symmetric")
