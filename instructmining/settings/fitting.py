"""Settings of `fit`: how a rule is learned."""

from typing import Literal

from instructmining.settings.section import Section, setting


class Fit(Section):
    """How a rule is learned."""

    pools: tuple[str, ...] = setting((), "Scored pools to draw from. Empty: `pool`.")
    evaluation: tuple[str, ...] = setting(
        (), "Evaluation data with reference answers, NAME=DATA or DATA; the first is the target."
    )
    prompts: int = setting(
        1000,
        "Largest number of conversations of each evaluation set that a run is measured on, chosen "
        "by their id: the same for all runs.",
        ge=1,
    )
    base: str | None = setting(
        None, "Model to finetune. null: the perplexity model of the model list."
    )
    subsets: int = setting(45, "Largest number of subsets; the paper had 129.", ge=1)
    size: int = setting(300, "Examples of each subset.", ge=1)
    random_subsets: int = setting(
        15, "Random subsets on which the rule is tested and never fitted.", ge=0
    )
    dirty_subsets: float = setting(
        0.3,
        "Share of the subsets that have rows exchanged for spoiled copies of themselves. 0: none.",
        ge=0,
        le=1,
    )
    dirty_share: float = setting(
        0.7,
        "Largest share of spoiled rows in such a subset; each draws its own, from 0.1 on.",
        gt=0,
        le=1,
    )
    drawn: str | None = setting(
        None,
        "Path of the `subsets.csv` of an earlier fit, which is drawn again. null: draw new ones.",
    )
    design: Literal["spread", "random"] = setting(
        "spread", "How subsets are drawn: spread over the indicators, or at random."
    )
    repeats: int = setting(
        6, "Subsets that are trained again with another seed, to measure the noise.", ge=0
    )
    candidates: int = setting(
        50_000, "Rows that subsets are drawn from; of more rows a sample by hash is taken.", ge=1
    )
    indicators: tuple[str, ...] = setting(
        (), "Indicators that may become terms. Empty: all that are measured."
    )
    hinges: bool = setting(
        True,
        "Offer hinges of the indicators as terms, too: how far one lies below the 5 % or above the "
        "95 % quantile of the candidates. With the criterion `cv` only.",
    )
    criterion: Literal["cv", "aic", "bic", "p"] = setting("cv", "How a term is accepted.")
    seed: int = setting(0, "Seed of every random choice.")
    max_runs: int | None = setting(None, "Largest number of finetunes. null: no limit.")
    budget_minutes: float | None = setting(
        None, "Minutes within which the last wave of finetunes must end. null: no limit."
    )
    stop_at: float | None = setting(
        None,
        "Stop when the half-width of the standardised coefficients is this small. null: never "
        "stop early.",
        gt=0,
    )
    stop_gain: float = setting(
        0.02,
        "From 30 subsets on, stop when the remaining ones are expected to add less than this to R² "
        "on other runs. 0: never stop early.",
        ge=0,
    )
    max_failed_fraction: float = setting(
        0.1, "Fail the run if more than this share of the finetunes failed.", ge=0, le=1
    )
    name: str | None = setting(None, "Name of the rule. null: `fitted-POOL`.")
    to: str | None = setting(
        None,
        "Folder for rule.json, fit.md, fit_table.csv, subsets.csv. null: only MLflow has them.",
    )
    register_rule: bool = setting(True, "Register the rule in MLflow as a candidate.")
