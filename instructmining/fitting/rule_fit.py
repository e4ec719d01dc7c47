"""From finetuning runs to a rule, and to what can honestly be said about it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from instructmining.errors import UserError
from instructmining.fitting.regression import OlsFit, ols, univariate
from instructmining.fitting.subset_diversity import tried
from instructmining.fitting.terms import (
    CrossValidation,
    Selection,
    cross_validate,
    leave_one_group_out,
    noise_floor,
    select_terms,
)
from instructmining.rules.rule import FittedModel, LinearRule
from instructmining.settings.learning import Fit

_FEWEST = 12  # runs below which a fit says nothing


@dataclass(frozen=True)
class Learned:
    """A fit and how far to trust it.

    Attributes:
        runs: one row per finetuned subset, see `one_per_subset`.
        singles: each indicator alone.
        selection: which terms were taken and why.
        fit: least squares on these terms.
        cross_validated: of the terms, out of fold; chosen on all runs, so that it flatters them.
        mean_only: of no terms at all, on the same folds.
        others: by name, of the terms of other rules, refitted on the same folds.
        left_out: out of each source in turn, where there are several.
        noise: standard deviation of log loss between seeds of one subset, if any was repeated.
        elsewhere: by evaluation set, the same terms refitted on its log loss.
        other_bases: by base model, its log loss on the same subsets and ours beside it.
        diversity: what the subsets' own diversity adds, see `subset_diversity.tried`.
    """

    runs: pd.DataFrame
    singles: pd.DataFrame
    selection: Selection
    fit: OlsFit
    cross_validated: CrossValidation
    mean_only: CrossValidation
    others: Mapping[str, CrossValidation]
    left_out: CrossValidation | None
    noise: float | None
    elsewhere: Mapping[str, CrossValidation]
    other_bases: Mapping[str, pd.DataFrame]
    diversity: pd.DataFrame


def learn(
    runs: pd.DataFrame,
    indicators: Sequence[str],
    fit: Fit,
    target: str,
    others: Mapping[str, Sequence[str]],
    bases: Mapping[str, pd.DataFrame],
) -> Learned:
    """Choose terms, fit them, and measure the fit out of sample.

    Args:
        runs: of `regression_frame`.
        indicators: that may become terms.
        fit: criterion and seed.
        target: name of the evaluation set whose log loss is fitted.
        others: by name, terms of rules to be refitted beside it; those with a term that was not
            measured are left out.
        bases: by another base model, `subset` and `log_loss` of its runs.

    Raises:
        UserError: too few runs.
    """
    noise = noise_floor(runs)
    runs = one_per_subset(runs)
    if len(runs) < _FEWEST:
        raise UserError(
            f"{len(runs)} finetuned subsets are too few to fit a rule: {_FEWEST} at "
            "least, some hundred for intervals that mean something; raise --subsets "
            "or the budget and run again, finished runs are kept"
        )
    varied = [name for name in indicators if runs[name].std() > 0]
    selection = select_terms(runs, varied, criterion=fit.criterion, seed=fit.seed)
    terms = selection.terms
    known = {name: tuple(t) for name, t in others.items() if t and set(t) <= set(varied)}
    elsewhere = {}
    several = runs["mix"].nunique() > 1
    for column in runs.columns:
        name = column.removeprefix("log_loss_")
        if name not in (column, target):
            moved = runs.assign(log_loss=runs[column])
            elsewhere[name] = cross_validate(moved, terms, seed=fit.seed)
    return Learned(
        runs=runs,
        singles=univariate(runs, varied),
        selection=selection,
        fit=ols(runs, terms, seed=fit.seed),
        cross_validated=cross_validate(runs, terms, seed=fit.seed),
        mean_only=cross_validate(runs, (), seed=fit.seed),
        others={name: cross_validate(runs, t, seed=fit.seed) for name, t in known.items()},
        left_out=leave_one_group_out(runs, terms, "mix") if several and terms else None,
        noise=noise,
        elsewhere=elsewhere,
        other_bases={
            name: runs[["subset", "log_loss"]].merge(
                runs_of_base, on="subset", suffixes=("", "_there")
            )
            for name, runs_of_base in bases.items()
        },
        diversity=tried(runs, terms, fit.seed),
    )


def widest_interval(runs: pd.DataFrame, indicators: Sequence[str], fit: Fit) -> float:
    """Half-width of the widest 95 % interval of a term, its coefficient standardised.

    Args:
        runs: of `regression_frame`.
        indicators: that may become terms.
        fit: criterion and seed.

    Returns:
        Infinite as long as there are fewer than three subsets per indicator, or no term.
    """
    runs = one_per_subset(runs)
    if len(runs) < max(_FEWEST, 3 * len(indicators)):
        return math.inf
    terms = select_terms(runs, indicators, criterion=fit.criterion, seed=fit.seed).terms
    if not terms:
        return math.inf
    table = ols(runs, terms, seed=fit.seed).table.loc[list(terms)]
    scale = runs[list(terms)].std() / runs["log_loss"].std()
    return float(((table["high"] - table["low"]) / 2 * scale).max())


def one_per_subset(runs: pd.DataFrame) -> pd.DataFrame:
    """Log losses averaged over the seeds of a subset: its runs are not independent observations."""
    means = {name: "mean" for name in runs.columns if name.startswith("log_loss")}
    rules = {name: means.get(name, "first") for name in runs.columns if name != "subset"}
    return runs.groupby("subset", sort=False, as_index=False).agg(rules)[list(runs.columns)]


def rule_of(
    learned: Learned,
    name: str,
    models: Mapping[str, FittedModel],
    ranges: Mapping[str, tuple[float, float]],
    provenance: Mapping[str, object],
) -> LinearRule | None:
    """The rule, None where no term was found: a mean is not a rule."""
    fit = learned.fit
    if not fit.terms:
        return None
    gate = {
        "rmse": learned.cross_validated.rmse,
        "rmse_mean_only": learned.mean_only.rmse,
        "rmse_others": {name: validated.rmse for name, validated in learned.others.items()},
        "r_squared": learned.cross_validated.r_squared,
        "rank_correlation": learned.cross_validated.rank_correlation,
    }
    return LinearRule(
        name=name,
        intercept=fit.intercept,
        coefficients=fit.coefficients,
        covariance=fit.covariance,
        models={term: models[term] for term in fit.terms if term in models},
        ranges={term: ranges[term] for term in fit.terms if term in ranges},
        provenance={
            **provenance,
            "runs": fit.n,
            "cross_validation": gate,
            "criterion": learned.selection.criterion,
            "permutation_p": learned.selection.p_value,
        },
    )
