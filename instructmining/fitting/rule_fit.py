"""From finetuning runs to a rule, and to what can honestly be said about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from instructmining.errors import UserError
from instructmining.fitting.cross_validation import (
    Array,
    CrossValidation,
    cross_validate,
    leave_one_group_out,
)
from instructmining.fitting.out_of_sample import (
    Crossed,
    Ranked,
    crossed,
    nested_r_squared,
    ranked,
)
from instructmining.fitting.regression import OlsFit, ols, univariate
from instructmining.fitting.shared_examples import overlap_of, source_terms
from instructmining.fitting.subset_diversity import tried
from instructmining.fitting.terms import Selection, noise_floor, select_terms
from instructmining.rules.fitted_model import FittedModel
from instructmining.rules.hinge import Hinge
from instructmining.rules.rule import LinearRule
from instructmining.settings.fitting import Fit

FEWEST = 12  # runs below which a fit says nothing


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
        nested: R² out of fold with the terms searched again in every fold.
        crossed: of one half of the candidates by the other; None where they were not halved.
        sources: of the shares of the sources alone; None where there is one source.
        beside_sources: of the terms beside these shares.
        dominated: of the runs that one source dominates by the others, in turn; None with one
            source, or where the others do not carry the terms.
        ranked: predicted and measured loss of random subsets; None where there are too few.
        beside: share columns that the search held fixed.
        overlap: share of examples that each two runs have in common; None where unknown.
        noise: standard deviation of log loss between seeds of one subset, if any was repeated.
        elsewhere: by evaluation set, the same terms refitted on its log loss.
        other_bases: by base model, its log loss on the same subsets and ours beside it.
        diversity: what the subsets' own diversity adds, see `subset_diversity.tried`.
        hinges: of the terms that are not indicators, by name.
    """

    runs: pd.DataFrame
    singles: pd.DataFrame
    selection: Selection
    fit: OlsFit
    cross_validated: CrossValidation
    mean_only: CrossValidation
    others: Mapping[str, CrossValidation]
    nested: float
    crossed: Crossed | None
    sources: CrossValidation | None
    beside_sources: CrossValidation | None
    dominated: CrossValidation | None
    ranked: Ranked | None
    beside: tuple[str, ...]
    overlap: Array | None
    noise: float | None
    elsewhere: Mapping[str, CrossValidation]
    other_bases: Mapping[str, pd.DataFrame]
    diversity: pd.DataFrame
    hinges: Mapping[str, Hinge]


def learn(
    runs: pd.DataFrame,
    indicators: Sequence[str],
    fit: Fit,
    target: str,
    others: Mapping[str, Sequence[str]],
    bases: Mapping[str, pd.DataFrame],
    subsets: Mapping[str, Sequence[str]] | None = None,
    hinges: Mapping[str, Hinge] | None = None,
) -> Learned:
    """Choose terms, fit them, and measure the fit out of sample.

    Args:
        runs: of `regression_frame`; where known with the columns `share_SOURCE`, `half` (of the
            candidates, 0 or 1) and `tested`, true for random subsets that are only predicted.
        indicators: that may become terms.
        fit: criterion and seed.
        target: name of the evaluation set whose log loss is fitted.
        others: by name, terms of rules to be refitted beside it; those with a term that was not
            measured are left out.
        bases: by another base model, `subset` and `log_loss` of its runs.
        subsets: example ids by hash of the subset; what runs share is not counted without them.
        hinges: by name, columns that may become terms, too.

    Raises:
        UserError: too few runs.
    """
    noise = noise_floor(runs)
    runs, tested = fitted_and_tested(one_per_subset(runs))
    refuse_too_few(runs)
    hinges = hinges or {}
    offered = [*indicators, *hinges]
    varied = [name for name in offered if runs[name].std() > 0]
    beside = source_terms(runs, fit.seed)
    overlap = overlap_of([subsets[name] for name in runs["subset"]]) if subsets else None
    selection = select_terms(runs, varied, fit.criterion, fit.seed, beside, overlap)
    terms = selection.terms
    known = {name: tuple(t) for name, t in others.items() if t and _vary(runs, t)}
    several = runs["mix"].nunique() > 1
    return Learned(
        runs=runs,
        singles=univariate(runs, varied),
        selection=selection,
        fit=ols(runs, terms, seed=fit.seed),
        cross_validated=cross_validate(runs, terms, seed=fit.seed),
        mean_only=cross_validate(runs, (), seed=fit.seed),
        others={name: cross_validate(runs, t, seed=fit.seed) for name, t in known.items()},
        nested=nested_r_squared(runs, varied, fit.seed),
        crossed=crossed(runs, varied, beside, fit.seed),
        sources=cross_validate(runs, beside, fit.seed) if beside else None,
        beside_sources=_beside(runs, beside, terms, fit.seed),
        dominated=leave_one_group_out(runs, terms, "mix") if several and terms else None,
        ranked=ranked(runs, tested, terms),
        beside=tuple(beside),
        overlap=overlap,
        noise=noise,
        elsewhere=_elsewhere(runs, terms, target, fit.seed),
        other_bases={
            name: runs[["subset", "log_loss"]].merge(
                runs_of_base, on="subset", suffixes=("", "_there")
            )
            for name, runs_of_base in bases.items()
        },
        diversity=tried(runs, terms, fit.seed),
        hinges={term: hinge for term, hinge in hinges.items() if term in terms},
    )


def _vary(runs: pd.DataFrame, terms: Sequence[str]) -> bool:
    return all(term in runs and runs[term].std() > 0 for term in terms)


def fitted_and_tested(runs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs that the rule is fitted on, and the random subsets that it is only tested on."""
    if "tested" not in runs:
        return runs, runs.head(0)
    only_tested = runs["tested"].to_numpy(bool)
    parts = (runs[~only_tested], runs[only_tested])
    return parts[0].reset_index(drop=True), parts[1].reset_index(drop=True)


def refuse_too_few(runs: pd.DataFrame) -> None:
    """Refuse to fit on less than says anything.

    Raises:
        UserError: fewer than twelve subsets.
    """
    if len(runs) < FEWEST:
        raise UserError(
            f"{len(runs)} finetuned subsets are too few to fit a rule: {FEWEST} at "
            "least, some hundred for intervals that mean something; raise --subsets "
            "or the budget and run again, finished runs are kept"
        )


def _beside(
    runs: pd.DataFrame, sources: Sequence[str], terms: Sequence[str], seed: int
) -> CrossValidation | None:
    if not sources or not terms:
        return None
    try:
        return cross_validate(runs, [*sources, *terms], seed)
    except np.linalg.LinAlgError:  # shares and terms say the same of these runs
        return None


def _elsewhere(
    runs: pd.DataFrame, terms: Sequence[str], target: str, seed: int
) -> dict[str, CrossValidation]:
    """The same terms on the log loss of the other evaluation sets."""
    columns = [str(column) for column in runs if str(column).startswith("log_loss_")]
    names = [column.removeprefix("log_loss_") for column in columns]
    return {
        name: cross_validate(runs.assign(log_loss=runs[f"log_loss_{name}"]), terms, seed)
        for name in names
        if name != target
    }


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
        **unseen_figures(learned),
    }
    of_hinges = {term: hinge.indicator for term, hinge in learned.hinges.items()}
    used = dict.fromkeys(of_hinges.get(term, term) for term in fit.terms)
    return LinearRule(
        name=name,
        intercept=fit.intercept,
        coefficients=fit.coefficients,
        covariance=fit.covariance,
        hinges=dict(learned.hinges),
        models={name: models[name] for name in used if name in models},
        ranges={name: ranges[name] for name in used if name in ranges},
        provenance={
            **provenance,
            "runs": fit.n,
            "cross_validation": gate,
            "criterion": learned.selection.criterion,
            "permutation_p": learned.selection.p_value,
        },
    )


def unseen_figures(learned: Learned) -> dict[str, float]:
    """What could be measured on examples that the fit had not seen."""
    figures = {"nested_r_squared": learned.nested}
    if (halves := learned.crossed) is not None:
        figures["crossed_r_squared"] = halves.r_squared
        figures["crossed_beside_sources"] = halves.beside_sources
    if (random := learned.ranked) is not None:
        figures["lds"], figures["lds_low"], figures["lds_high"] = (
            random.correlation,
            random.low,
            random.high,
        )
    return figures
