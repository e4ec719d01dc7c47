"""What a fit came to, on a page in Markdown: printed, logged and kept."""

from collections.abc import Iterator

import pandas as pd

from instructmining.fitting.cross_validation import CrossValidation
from instructmining.fitting.dirt import DIRT
from instructmining.fitting.rule_fit import Learned
from instructmining.fitting.subset_design import Design, condition_number
from instructmining.rules.gate import contradictions

_FEWEST_DIRTY = 5  # subsets with dirt below which their ranks say nothing


def fit_page(
    learned: Learned,
    design: Design,
    spread: pd.DataFrame,
    target: str,
    stable: pd.DataFrame,
    dirt: str = "",
) -> str:
    """The whole page.

    Args:
        learned: the fit.
        design: its subsets.
        spread: of `subset_design.describe`.
        target: name of the evaluation set.
        stable: of `out_of_sample.stability`.
        dirt: of `dirt.dirt_sentence`.
    """
    return "\n".join(_lines(learned, design, spread, target, stable, dirt)) + "\n"


def reading(learned: Learned, target: str) -> list[str]:
    """The result in sentences, a null result as one."""
    return [
        learned.selection.sentence,
        *_headline(learned),
        *_out_of_fold(learned, target),
        *_with_dirt(learned),
        *_by_source(learned),
        *_signs(learned),
        *_rivals(learned),
        *_noise(learned),
        *_elsewhere(learned, target),
    ]


def _headline(learned: Learned) -> Iterator[str]:
    """What holds on examples and runs that the fit had not seen."""
    if (random := learned.ranked) is not None:
        yield (
            f"Predicted and measured loss of {random.n} random subsets, which no fit has used: "
            f"rank correlation (LDS) {random.correlation:.2f} "
            f"[{random.low:.2f}, {random.high:.2f}]."
        )
    if (halves := learned.crossed) is not None:
        first, second = (", ".join(terms) or "no term" for terms in halves.terms)
        yield (
            "Searched and fitted on one half of the candidates, tested on the other: R² "
            f"{halves.r_squared:.2f}, rank correlation {halves.rank_correlation:.2f}; beside the "
            f"shares of the sources {100 * halves.beside_sources:.0f} % of the squared error goes "
            f"(the halves find {first}; {second})."
        )


def _out_of_fold(learned: Learned, target: str) -> Iterator[str]:
    if not learned.fit.terms:
        return
    validated = learned.cross_validated
    yield (
        f"On {target}, out of fold: R² {learned.nested:.2f} with the terms searched again in every "
        f"fold, {validated.r_squared:.2f} with those chosen on all runs; error "
        f"{validated.rmse:.5f} against {learned.mean_only.rmse:.5f} of the mean alone "
        f"(n = {learned.fit.n} runs, which share examples: see the halves)."
    )
    table = learned.fit.table
    holds_zero = (table["low"] <= 0) & (table["high"] >= 0)
    if unsure := [term for term in learned.fit.terms if holds_zero[term]]:
        yield f"Whose interval holds zero, so that it may be nothing: {', '.join(unsure)}."


def _with_dirt(learned: Learned) -> Iterator[str]:
    """What dirt does to the loss, and how the rule does on the dirty and on the clean subsets."""
    runs = learned.runs
    if DIRT not in runs or not runs[DIRT].std() > 0:
        return
    r = runs[[DIRT, "log_loss"]].corr().to_numpy()[0, 1]
    said = f"The share of spoiled rows goes with log loss at r = {r:.2f}"
    dirty = (runs[DIRT] > 0).to_numpy(bool)
    if learned.fit.terms and dirty.sum() >= _FEWEST_DIRTY:
        loss = runs["log_loss"]
        predicted = pd.Series(learned.cross_validated.predictions, index=runs.index)
        rank = predicted[dirty].corr(loss[dirty], "spearman")
        errors = (loss - predicted)[~dirty]
        explained = 1 - (errors**2).mean() / loss[~dirty].var(ddof=0)
        said += (
            f"; out of fold the rule ranks the {dirty.sum()} subsets with any at {rank:.2f} and "
            f"reaches R² {explained:.2f} among the {(~dirty).sum()} clean ones alone"
        )
    yield f"{said}."


def _by_source(learned: Learned) -> Iterator[str]:
    if learned.sources is not None:
        beside = (
            f", with the terms beside them R² {learned.beside_sources.r_squared:.2f}"
            if learned.beside_sources
            else ""
        )
        yield f"The shares of the sources alone reach R² {learned.sources.r_squared:.2f}{beside}."
    if learned.dominated is not None:
        yield (
            "Predicting the runs that one source dominates from those that others do: R² "
            f"{learned.dominated.r_squared:.2f}, rank correlation "
            f"{learned.dominated.rank_correlation:.2f}; these others hold some of that source too."
        )


def _signs(learned: Learned) -> Iterator[str]:
    for against in contradictions(learned.fit.coefficients, learned.hinges):
        yield f"In these runs {against}: `rules promote` asks for --force."


def _rivals(learned: Learned) -> Iterator[str]:
    for name, other in learned.others.items():
        better = "better" if learned.cross_validated.rmse < other.rmse else "not better"
        yield (
            f"The terms of {name}, refitted on these runs: R² {other.r_squared:.2f}; "
            f"the new rule is {better}."
        )


def _noise(learned: Learned) -> Iterator[str]:
    if learned.noise is not None:
        share = (learned.noise / learned.runs["log_loss"].std()) ** 2
        yield (
            f"Seeds alone move log loss by {learned.noise:.5f} (standard deviation), "
            f"{100 * share:.1f} % of the variance between runs."
        )


def _elsewhere(learned: Learned, target: str) -> Iterator[str]:
    """Other evaluation sets, other base models, and the subsets' diversity."""
    for name, moved in learned.elsewhere.items():
        agree = learned.runs[["log_loss", f"log_loss_{name}"]].corr("spearman").to_numpy()[0, 1]
        reach = f" the same terms, refitted, reach R² {moved.r_squared:.2f};" * bool(
            learned.fit.terms
        )
        yield (f"On {name}{reach} runs rank there as on {target} with correlation {agree:.2f}.")
    for name, both in learned.other_bases.items():
        if len(both) > 2:
            agree = both[["log_loss", "log_loss_there"]].corr("spearman").to_numpy()[0, 1]
            yield (
                f"Finetuned from {name}, {len(both)} of the same subsets rank as here with "
                f"correlation {agree:.2f}."
            )
    for measure, row in learned.diversity.astype(float).iterrows():
        adds = "lowers" if row["fall"] > 0 else "does not lower"
        yield (
            f"The subset's own diversity ({measure}) goes with log loss at r = {row['r']:.2f} "
            f"(p = {row['p']:.3f}) and {adds} the error out of fold beside the "
            "terms."
        )


def markdown(frame: pd.DataFrame, first: str) -> Iterator[str]:
    """A frame as a table, four significant digits."""
    yield f"| {first} | " + " | ".join(map(str, frame.columns)) + " |"
    yield "|---" * (len(frame.columns) + 1) + "|"
    for name, row in frame.iterrows():
        cells = (f"{v:.4g}" if isinstance(v, float) else str(v) for v in row)
        yield f"| {name} | " + " | ".join(cells) + " |"


def _lines(
    learned: Learned,
    design: Design,
    spread: pd.DataFrame,
    target: str,
    stable: pd.DataFrame,
    dirt: str,
) -> Iterator[str]:
    yield f"# Fit on {target}\n"
    yield from (f"- {sentence}" for sentence in reading(learned, target))
    yield "\n## Coefficients\n\nLog loss per unit; a negative one means that more is better."
    yield f"HC3 errors, 95 % intervals, condition number {learned.fit.condition_number:.1f}.\n"
    yield from markdown(learned.fit.table, "term")
    if learned.hinges:
        yield ""
    yield from (f"- {term} = {hinge.words}" for term, hinge in learned.hinges.items())
    yield "\n## Each indicator alone\n"
    yield from markdown(learned.singles, "indicator")
    yield (
        "\n## Diversity of the subset\n\nIt belongs to no single example, so it is not a term of a "
        "rule. `fall`: share of the terms' squared error out of fold that goes when it is "
        "added.\n"
    )
    yield from markdown(learned.diversity, "measure")
    yield "\n## How the terms were chosen\n"
    yield from markdown(learned.selection.path.set_index("step"), "step")
    yield (
        "\n## Would the same terms be chosen again?\n\nHow often each indicator becomes a term "
        "with other seeds of folds and draws, and on 80 % of the runs.\n"
    )
    yield from markdown(stable, "indicator")
    yield "\n## Out of sample\n"
    yield from markdown(_validations(learned), "terms of")
    yield (
        f"\n## Design\n\n{len(design.subsets)} subsets of {len(design.subsets[0]):,} examples, "
        f"condition number {condition_number(design.means):.1f}. `spread` is the deviation of "
        "the subsets' means in units of what random subsets would have.\n"
    )
    if dirt:
        yield f"{dirt}\n"
    yield from markdown(spread, "indicator")


def _validations(learned: Learned) -> pd.DataFrame:
    rows = {"this rule": learned.cross_validated, "mean only": learned.mean_only, **learned.others}
    if learned.sources is not None:
        rows["shares of the sources"] = learned.sources
    if learned.beside_sources is not None:
        rows["this rule beside them"] = learned.beside_sources
    if learned.dominated is not None:
        rows["this rule, runs of one source by others"] = learned.dominated
    rows |= {f"this rule, on {name}": validated for name, validated in learned.elsewhere.items()}
    return pd.DataFrame({name: _record(validated) for name, validated in rows.items()}).T


def _record(validated: CrossValidation) -> dict[str, float]:
    return {
        "rmse": validated.rmse,
        "rmse_se": validated.rmse_se,
        "r_squared": validated.r_squared,
        "rank_correlation": validated.rank_correlation,
    }
