"""What a fit came to, on a page in Markdown: printed, logged and kept."""

from collections.abc import Iterator

import pandas as pd

from instructmining.fitting.rule_fit import Learned
from instructmining.fitting.subset_design import Design, condition_number
from instructmining.fitting.terms import CrossValidation


def fit_page(learned: Learned, design: Design, spread: pd.DataFrame, target: str) -> str:
    """The whole page."""
    return "\n".join(_lines(learned, design, spread, target)) + "\n"


def reading(learned: Learned, target: str) -> list[str]:
    """The result in sentences, a null result as one."""
    validated = learned.cross_validated
    mean = learned.mean_only
    said = [learned.selection.sentence]
    if learned.fit.terms:
        said.append(
            f"On {target}, out of fold: R² {validated.r_squared:.2f}, rank correlation "
            f"{validated.rank_correlation:.2f}, error {validated.rmse:.5f} against "
            f"{mean.rmse:.5f} of the mean alone (n = {learned.fit.n} runs). The "
            "terms were chosen on all of these runs, which the figures out of fold do not count: "
            "on other runs expect less."
        )
        table = learned.fit.table
        holds_zero = (table["low"] <= 0) & (table["high"] >= 0)
        unsure = [term for term in learned.fit.terms if holds_zero[term]]
        if unsure:
            said.append(
                f"Whose interval holds zero, so that it may be nothing: {', '.join(unsure)}."
            )
    for name, other in learned.others.items():
        better = "better" if validated.rmse < other.rmse else "not better"
        said.append(
            f"The terms of {name}, refitted on these runs: R² {other.r_squared:.2f}; "
            f"the new rule is {better}."
        )
    if learned.left_out is not None:
        said.append(
            f"Predicting runs of a source that the fit never saw: R² "
            f"{learned.left_out.r_squared:.2f}, rank correlation "
            f"{learned.left_out.rank_correlation:.2f}."
        )
    if learned.noise is not None:
        share = (learned.noise / learned.runs["log_loss"].std()) ** 2
        said.append(
            f"Seeds alone move log loss by {learned.noise:.5f} (standard deviation), "
            f"{100 * share:.1f} % of the variance between runs."
        )
    return [*said, *_elsewhere(learned, target)]


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


def _lines(learned: Learned, design: Design, spread: pd.DataFrame, target: str) -> Iterator[str]:
    yield f"# Fit on {target}\n"
    yield from (f"- {sentence}" for sentence in reading(learned, target))
    yield "\n## Coefficients\n\nLog loss per unit; a negative one means that more is better."
    yield f"HC3 errors, 95 % intervals, condition number {learned.fit.condition_number:.1f}.\n"
    yield from markdown(learned.fit.table, "term")
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
    yield "\n## Out of sample\n"
    yield from markdown(_validations(learned), "terms of")
    yield (
        f"\n## Design\n\n{len(design.subsets)} subsets of {len(design.subsets[0]):,} examples, "
        f"condition number {condition_number(design.means):.1f}. `spread` is the deviation of "
        "the subsets' means in units of what random subsets would have.\n"
    )
    yield from markdown(spread, "indicator")


def _validations(learned: Learned) -> pd.DataFrame:
    rows = {"this rule": learned.cross_validated, "mean only": learned.mean_only, **learned.others}
    if learned.left_out is not None:
        rows["this rule, source left out"] = learned.left_out
    rows |= {f"this rule, on {name}": validated for name, validated in learned.elsewhere.items()}
    return pd.DataFrame({name: _record(validated) for name, validated in rows.items()}).T


def _record(validated: CrossValidation) -> dict[str, float]:
    return {
        "rmse": validated.rmse,
        "rmse_se": validated.rmse_se,
        "r_squared": validated.r_squared,
        "rank_correlation": validated.rank_correlation,
    }
