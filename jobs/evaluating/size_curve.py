"""Loss against the size of a subset, selected and random beside each other, with intervals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from instructmining.errors import UserError
from instructmining.evaluating.arms import Arm, Pick, sized
from instructmining.evaluating.comparison import means
from instructmining.evaluating.page import exact
from instructmining.evaluating.plots import sizes_figure
from instructmining.evaluating.size_reading import reading, smallest_as_good
from instructmining.evaluating.size_search import search_size
from instructmining.fitting.page import markdown
from instructmining.settings.learning import Select
from instructmining.tracking.mlflow_runs import Run
from jobs.evaluating.arm_runs import ArmRun, Experiment, facts_of, store_members
from jobs.evaluating.pool import EvaluationPool
from jobs.evaluating.results import losses_of, outcomes, refuse_without_result

_LOWEST = 32  # examples; below, a run is hardly longer than its evaluation


@dataclass(frozen=True)
class SizeCurve:
    """Mean loss by arm and size.

    Attributes:
        curve: `evaluation`, `arm`, `size`, `n`, `loss`, `low`, `high`, `sd`.
        best: the smallest size of the selected examples whose loss on the first evaluation set is
            as good as the lowest.
        sentences: what can be said of the curve on that set.
        page: Markdown.
    """

    curve: pd.DataFrame
    best: int
    sentences: list[str]
    page: str


class _Sizes:
    """Orders of the pool, whose beginnings are the subsets of every size.

    Args:
        experiment: what the finetunes share.
        pool: rows to choose from.
        pick: chooses.
        top: examples of the largest size that is asked for.
    """

    def __init__(self, experiment: Experiment, pool: EvaluationPool, pick: Pick, top: int):
        evaluate = experiment.settings.evaluate
        select = experiment.settings.select
        self.experiment, self.rows, self.pick = experiment, pool.rows, pick
        self.seeds = range(evaluate.seed, evaluate.seed + evaluate.size_seeds)
        self.recipes = {
            "selected": sized(select, top=top),
            "random": Select(strategy="random", top=top, floor="off"),
        }
        self.orders: dict[tuple[str, int], tuple[str, ...]] = {}

    @property
    def most(self) -> int:
        """Examples of the largest subset there is: a row without a score is never selected."""
        return len(self._order("selected", self.recipes["selected"]))

    def arms(self, name: str, sizes: Sequence[int], seeds: Sequence[int]) -> list[Arm]:
        """Every size at every seed."""
        recipe = self.recipes[name]
        arms = []
        for seed in seeds:
            drawn = recipe.model_copy(update={"seed": seed}) if name == "random" else recipe
            order = self._order(name, drawn)
            arms += [
                Arm(name, seed, order[:size], drawn.model_copy(update={"top": size}))
                for size in sizes
            ]
        return arms

    def _order(self, name: str, recipe: Select) -> tuple[str, ...]:
        key = (name, recipe.seed)
        if key not in self.orders:
            rows = self.pick(self.rows, recipe).orderBy("rank").select("example_id").collect()
            self.orders[key] = tuple(row.example_id for row in rows)
        return self.orders[key]

    def again(self, size: int) -> pd.DataFrame:
        """Both arms at one size, at as many seeds that no curve has seen; as `measured`."""
        fresh = range(self.seeds.stop, self.seeds.stop + len(self.seeds))
        return pd.concat([self.measured(name, [size], fresh) for name in self.recipes])

    def measured(
        self, name: str, sizes: Sequence[int], seeds: Sequence[int] | None = None
    ) -> pd.DataFrame:
        """Finetune an arm at these sizes: `evaluation`, `arm`, `seed`, `loss`, `size`, `tokens`."""
        arms = self.arms(name, sizes, self.seeds if seeds is None else seeds)
        facts = facts_of(self.rows, arms)
        runs = [ArmRun(arm, self.experiment.planned(arm, facts), self.experiment) for arm in arms]
        store_members(self.experiment, runs)
        spent = self.experiment.run([arm_run.run for arm_run in runs], f"{name}, {_listed(sizes)}")
        results = outcomes(self.experiment.store, runs)
        refuse_without_result(results, spent, f"{name} at {_listed(sizes)} examples")
        return pd.concat(
            [
                losses_of(group, self.experiment.sets).assign(
                    size=size, tokens=group["tokens"].mean()
                )
                for size, group in results.groupby("examples")
            ],
            ignore_index=True,
        )


def size_curve(
    experiment: Experiment, pool: EvaluationPool, pick: Pick, tracked: Run, title: str
) -> SizeCurve:
    """Measure the curve of the selected examples and the random one beside it.

    Raises:
        UserError: sizes that are not numbers or larger than what can be selected.
        FailedRowsError: no finetune of an arm has a result.
    """
    target = experiment.sets[0].name
    evaluate = experiment.settings.evaluate
    sizes = _Sizes(experiment, pool, pick, max(_asked(evaluate.sizes, pool.count)))
    named = _asked(evaluate.sizes, sizes.most)
    if ends := ends_of(evaluate.sizes, sizes.most):
        selected = _searched(sizes, target, ends, evaluate.size_trials)
        named = sorted(int(size) for size in selected["size"].unique())
    else:
        selected = sizes.measured("selected", named)
    losses = pd.concat([selected, sizes.measured("random", named)], ignore_index=True)
    curve = pd.concat(
        [means(group).assign(size=size) for size, group in losses.groupby("size")],
        ignore_index=True,
    )
    shown = curve[curve["evaluation"] == target]
    choice = smallest_as_good(shown[shown["arm"] == "selected"])
    again = means(sizes.again(choice.size))
    chosen = choice.sentences(target, again[again["evaluation"] == target])
    page = page_of(curve, experiment, title, chosen)
    tracked.log_text(page, "sizes.md")
    tracked.log_text(losses.to_csv(index=False), "sizes.csv")
    if tracked.records:
        tracked.log_figures({"sizes": sizes_figure(shown, target)})
    return SizeCurve(curve, choice.size, [*chosen, *reading(shown, target)], page)


def ends_of(sizes: Sequence[str], most: int) -> tuple[int, int] | None:
    """Between which sizes to search: `auto` or `auto:LOW-HIGH`; None where sizes are named.

    Args:
        given: of `--sizes`.
        most: examples that can be selected.

    Raises:
        UserError: ends that are not numbers, not in order, or beyond what can be selected.
    """
    if not sizes[0].startswith("auto"):
        return None
    match = re.fullmatch(r"auto(?::(\d+)-(\d+))?", sizes[0])
    if not match or len(sizes) > 1:
        raise UserError(f"--sizes {','.join(sizes)}: write auto, or auto:LOW-HIGH")
    low, high = (int(end) if end else None for end in match.groups())
    ends = (min(_LOWEST, most // 2) if low is None else low, most if high is None else high)
    if not 0 < ends[0] < ends[1] <= most:
        raise UserError(
            f"--sizes {sizes[0]}: the pool has {most:,} examples that can be selected; "
            "name two sizes up to that, the smaller first"
        )
    return ends


def sizes_of(named: Sequence[str], most: int) -> list[int]:
    """The sizes that were named, ascending.

    Args:
        given: of `--sizes`.
        most: examples that can be selected.

    Raises:
        UserError: one is not a positive number, or larger than what can be selected.
    """
    try:
        sizes = sorted({int(size) for size in named})
    except ValueError:
        raise UserError(
            f"--sizes {','.join(named)}: write auto, or numbers with commas between them"
        ) from None
    if sizes[0] < 1 or sizes[-1] > most:
        raise UserError(
            f"--sizes {','.join(named)}: the pool has {most:,} examples that can be "
            "selected; name sizes from 1 to that"
        )
    return sizes


def page_of(curve: pd.DataFrame, experiment: Experiment, title: str, chosen: Sequence[str]) -> str:
    """The size that is chosen, what can be said of the curve, and a table per evaluation set."""
    lines = [f"# Sizes: {title}\n", *(f"- {sentence}" for sentence in chosen)]
    for evaluation in experiment.sets:
        rows = curve[curve["evaluation"] == evaluation.name].sort_values(["size", "arm"])
        lines += [f"- {sentence}" for sentence in reading(rows, evaluation.name)]
    for evaluation in experiment.sets:
        rows = curve[curve["evaluation"] == evaluation.name].sort_values(["size", "arm"])
        table = rows.set_index("size")[["arm", "n", "loss", "low", "high", "sd"]]
        lines += [f"\n## {evaluation.name}\n", *markdown(exact(table), "examples")]
    return "\n".join(lines) + "\n"


def _searched(sizes: _Sizes, target: str, ends: tuple[int, int], trials: int) -> pd.DataFrame:
    """Finetunes of the selected examples at the sizes that BlendSearch asks for."""
    losses: dict[int, pd.DataFrame] = {}

    def loss_of(size: int) -> tuple[float, float]:
        losses[size] = sizes.measured("selected", [size])
        own = losses[size][losses[size]["evaluation"] == target]
        return float(own["loss"].mean()), float(own["tokens"].mean())

    search_size(loss_of, *ends, trials)
    return pd.concat(losses.values(), ignore_index=True)


def _asked(sizes: Sequence[str], most: int) -> list[int]:
    """The sizes that were named, or the ends of the search."""
    return [*(ends_of(sizes, most) or sizes_of(sizes, most))]


def _listed(sizes: Sequence[int]) -> str:
    return ", ".join(f"{size:,}" for size in sizes)
