"""Arms against each other: mean losses with intervals, paired differences, and what they say.

    difference = loss of an arm − loss of its rival at the same seed, nats per token; below zero
                 the arm is better
    interval   = mean ± t(0.975, n − 1) · sd / √n

The verdict rests on the interval of the t distribution: five differences are too few for the
percentiles of a bootstrap, whose intervals are then too narrow. The two resampling p values stand
beside it, over seeds alone. Where the losses of single prompts are known, interval and p count that
other prompts would have given another difference (`seeds_and_prompts`). A verdict says that an arm
is better only if p is below 0.05 after the correction for all comparisons of the page (Holm).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from instructmining.evaluating.seeds_and_prompts import PromptLosses, spread_of

LEVEL = 0.95
_RESAMPLES = 10_000
Values = NDArray[np.float64]


def means(losses: pd.DataFrame) -> pd.DataFrame:
    """Mean loss of every arm.

    Args:
        losses: `evaluation`, `arm`, `seed`, `loss`; one row per finished run.

    Returns:
        `evaluation`, `arm`, `n`, `loss`, `low`, `high`, `sd`, in the order of the arms' first rows;
        the interval is empty (NaN) for fewer than two runs.
    """
    rows = []
    for (evaluation, arm), group in losses.groupby(["evaluation", "arm"], sort=False):
        values = group["loss"].to_numpy(float)
        low, high = interval(values)
        sd = values.std(ddof=1) if len(values) > 1 else np.nan
        rows.append((evaluation, arm, len(values), values.mean(), low, high, sd))
    return pd.DataFrame(rows, columns=["evaluation", "arm", "n", "loss", "low", "high", "sd"])


def differences(
    losses: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    prompts: Mapping[str, PromptLosses] | None = None,
) -> pd.DataFrame:
    """Every pair of arms on every evaluation set, paired by seed.

    Args:
        losses: as for `means`.
        pairs: (arm, rival).
        prompts: by evaluation set, losses of single prompts.

    Returns:
        `evaluation`, `arm`, `rival`, `n` (seeds that both have), `prompts` (that the interval
        counts, 0 where it is over seeds alone), `difference`, `low`, `high`, `p` (t test),
        `p_bootstrap` (of the t statistic), `p_signs` (all flips of the signs; with n seeds never
        below 2 / 2^n), `p_adjusted` (Holm, over all rows) and `comparisons`, their number.
    """
    rows = []
    for evaluation in losses["evaluation"].unique():
        table = losses[losses["evaluation"] == evaluation].pivot_table(
            index="seed", columns="arm", values="loss"
        )
        known = (prompts or {}).get(evaluation)
        for arm, rival in pairs:
            both = table.reindex(columns=[arm, rival]).dropna()
            differences = (both[arm] - both[rival]).to_numpy(float)
            row = {"evaluation": evaluation, "arm": arm, "rival": rival, **paired(differences)}
            by_prompt = known.differences(arm, rival, list(both.index)) if known else None
            rows.append(row if by_prompt is None else row | _over_prompts(*by_prompt))
    frame = pd.DataFrame(rows)
    frame["p_adjusted"] = _holm(frame["p"].to_numpy(float))
    return frame.assign(comparisons=int(frame["p"].notna().sum()))


def _over_prompts(differences: Values, weights: Values) -> dict[str, Any]:
    """Interval and p of a mean difference over seeds and prompts."""
    from scipy import stats

    mean = float((differences @ weights).mean() / weights.sum())
    error, freedom = spread_of(differences, weights)
    if error == 0:
        return {"prompts": len(weights), "p": 1.0 if mean == 0 else 0.0}
    half = float(stats.t.ppf((1 + LEVEL) / 2, freedom)) * error
    return {
        "prompts": len(weights),
        "low": mean - half,
        "high": mean + half,
        "p": float(2 * stats.t.sf(abs(mean) / error, freedom)),
    }


def paired(differences: Values) -> dict[str, Any]:
    """Mean of the differences, its interval and the p values; NaN where n < 2."""
    n = len(differences)
    mean = float(differences.mean()) if n else np.nan
    low, high = interval(differences)
    return {
        "n": n,
        "prompts": 0,
        "difference": mean,
        "low": low,
        "high": high,
        "p": _p_t(differences),
        "p_bootstrap": _p_bootstrap(differences),
        "p_signs": _p_signs(differences),
    }


def interval(values: Values) -> tuple[float, float]:
    """The 95 % interval of the mean, by the t distribution."""
    from scipy import stats

    n = len(values)
    if n < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return float(values.mean() - half), float(values.mean() + half)


def verdict(row: Any) -> str:
    """One comparison in words.

    Args:
        row: of `differences`.
    """
    place = f"{row.evaluation}: "
    if row.n < 2:
        return (
            f"{place}{row.arm} against {row.rival} cannot be judged: n = {row.n} seeds that "
            "both have"
        )
    test = f"(p = {p_text(row.p_adjusted)} after {_counted(row.comparisons)})"
    over = f"n = {row.n} seeds" + (f", {row.prompts} prompts" if row.prompts else "")
    better = better_of(row)
    if better is None:
        return (
            f"{place}no detectable difference between {row.arm} and {row.rival}: "
            f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}] nats per token {test}, {over}"
        )
    if better == row.arm:
        said, ends = f"{row.arm} beats {row.rival} by", (-row.high, -row.low)
    else:
        said, ends = f"{row.rival} is better than {row.arm} by", (row.low, row.high)
    size = f"{abs(row.difference):.4f} [{ends[0]:.4f}, {ends[1]:.4f}] nats per token"
    return f"{place}{said} {size} {test}, {over}"


def better_of(row: Any) -> str | None:
    """The arm whose loss is surely lower, after the correction; None for neither."""
    if not row.p_adjusted < 1 - LEVEL:
        return None
    return str(row.arm if row.difference < 0 else row.rival)


def _counted(comparisons: int) -> str:
    return "1 comparison" if comparisons == 1 else f"{comparisons} comparisons"


def verdicts(comparisons: pd.DataFrame) -> list[str]:
    """All comparisons in words."""
    return [verdict(row) for row in comparisons.itertuples()]


def disagreements(
    comparisons: pd.DataFrame, arms: tuple[str, str], preferred: Mapping[str, str | None]
) -> list[str]:
    """A sentence for every evaluation set whose losses and answers speak for different arms.

    Args:
        comparisons: of `differences`, with the corrected p.
        arms: that were judged.
        preferred: by evaluation set, the arm that the answers speak for; None for neither.
    """
    said = []
    row: Any
    for row in comparisons.itertuples():
        if (row.arm, row.rival) != arms or row.evaluation not in preferred:
            continue
        by_loss, by_answers = better_of(row), preferred[row.evaluation]
        if by_loss != by_answers:
            said.append(
                f"{row.evaluation}: loss and answers disagree: the loss speaks for "
                f"{by_loss or 'neither'}, the answers for {by_answers or 'neither'}"
            )
    return said


def p_text(p: float) -> str:
    """`0.032`, or `<0.001`."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _p_t(values: Values) -> float:
    if len(values) < 2:
        return np.nan
    if np.ptp(values) == 0:  # arms of equal examples share their runs: every difference is zero
        return 1.0 if values[0] == 0 else 0.0
    from scipy import stats

    return float(stats.ttest_1samp(values, 0.0).pvalue)


def _p_bootstrap(values: Values) -> float:
    """Share of resamples, drawn under no difference, whose t is at least as far from zero."""
    if len(values) < 2 or np.ptp(values) == 0:
        return _p_t(values)
    drawn = np.random.default_rng(0).choice(values - values.mean(), (_RESAMPLES, len(values)))
    extreme = np.abs(_t(drawn)) >= abs(_t(values[None])[0])
    return float((1 + extreme.sum()) / (1 + _RESAMPLES))


def _t(rows: Values) -> Values:
    spread = rows.std(axis=1, ddof=1) / np.sqrt(rows.shape[1])
    center = rows.mean(axis=1)
    return np.divide(center, spread, out=np.copysign(np.inf, center), where=spread > 0)


def _p_signs(values: Values) -> float:
    if len(values) < 2:
        return np.nan
    from scipy import stats

    return float(
        stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=_RESAMPLES, rng=0
        ).pvalue
    )


def _holm(p: Values) -> Values:
    from statsmodels.stats.multitest import multipletests

    known = np.isfinite(p)
    adjusted = np.full(len(p), np.nan)
    if known.any():
        adjusted[known] = multipletests(p[known], method="holm")[1]
    return adjusted
