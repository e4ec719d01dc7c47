"""The arms of an evaluation: which examples each trains on, at every seed.

| arm | examples | at another seed |
|---|---|---|
| selected | the best by the strategy, `rule` unless told otherwise | the same, in another order |
| diverse | good by the strategy and unlike each other | the same, in another order |
| random | drawn at random | another draw, in another order |
| longest | the longest responses | the same, in another order |
| full | the whole pool, without replacement, for as many steps | another order of the pool |
| random_balanced | with `evaluate.also`: drawn at random, of every source as many | another draw |
| quality, ifd, … | with `evaluate.also`: the best by this strategy | the same, in another order |
| best_single | with `evaluate.also`: as selected, by the rule's strongest term alone | the same |
| target | with `evaluate.also`: most like the examples of `select.target`, in turn | the same |
| oracle | with `evaluate.clean`: drawn at random from the clean rows | another draw |
| base | none: the model that is not finetuned | the same |

Every arm gets the same number of steps, or with `evaluate.tokens` of tokens. The first four see
their examples once an epoch; `full` sees no example twice, unless the pool is smaller than what the
steps take. Then it is read in whole passes, as many as come closest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from pyspark.sql import DataFrame

from instructmining.errors import UserError
from instructmining.selecting.selection import SIZES
from instructmining.settings.learning import Evaluate, Finetune, Select

ARMS = ("selected", "diverse", "random", "longest", "full")  # none can be left out
ORACLE, BASE, BALANCED = "oracle", "base", "random_balanced"
BEST_SINGLE, TARGET = "best_single", "target"
PAIRS = tuple((arm, rival) for arm in ("selected", "diverse") for rival in ("random", "longest"))
BESIDE = (("selected", BASE), ("random", BASE))  # what finetuning itself is worth
_APART = 1_000_000  # the draws of `full` share no seed with those of `random`

Pick = Callable[[DataFrame, Select], DataFrame]


@dataclass(frozen=True)
class Arm:
    """What one arm trains on at one seed.

    Attributes:
        name: of `recipes`.
        seed: of the order, and of the draw where there is one.
        ids: the best first.
        recipe: how they were chosen.
    """

    name: str
    seed: int
    ids: tuple[str, ...]
    recipe: Select


def seeds_of(evaluate: Evaluate) -> list[int]:
    """The seeds of every arm."""
    return list(range(evaluate.seed, evaluate.seed + evaluate.seeds))


def recipes(evaluate: Evaluate, select: Select, finetune: Finetune) -> dict[str, Select]:
    """How each arm chooses; random ones get their seed in `subsets_of`.

    Args:
        evaluate: rows or tokens of an arm, diversity.
        select: strategy and quotas of the selected arms.
        finetune: epochs and rows of a step, which say how much the full pool gets.
    """
    size = {"top": None if evaluate.tokens else evaluate.top, "tokens": evaluate.tokens}
    chosen = sized(select, **size).model_copy(update={"diversity": "none"})
    plain = Select(**size, floor="off")
    steps = finetune.epochs * ceil(evaluate.top / finetune.batch_rows)
    whole = (
        {"tokens": evaluate.tokens * finetune.epochs}
        if evaluate.tokens
        else {"top": steps * finetune.batch_rows}
    )
    arms = {
        "selected": chosen,
        "diverse": chosen.model_copy(update={"diversity": evaluate.diversity}),
        "random": plain.model_copy(update={"strategy": "random"}),
        "longest": plain.model_copy(update={"strategy": "longest"}),
        "full": Select(strategy="random", floor="off", **whole),
    }
    also = {name: _beside(name, plain, chosen) for name in evaluate.also}
    return arms | also | ({ORACLE: arms["random"]} if evaluate.clean else {})


def balanced(recipe: Select, sources: int) -> Select:
    """The recipe of `random_balanced`, for a pool of this many sources.

    Raises:
        UserError: arms have a number of tokens, which sources cannot share equally.
    """
    if recipe.top is None:
        raise UserError(
            f"evaluate.also={BALANCED} takes as many examples of every source: give --top instead "
            "of --tokens"
        )
    return recipe.model_copy(update={"per_source": ceil(recipe.top / sources)})


def refuse_half_a_target(evaluate: Evaluate, select: Select) -> None:
    """Refuse a target that no arm goes by, and an arm that has none.

    Raises:
        UserError: names the options.
    """
    if select.strategy == TARGET or (TARGET in evaluate.also) != (select.target is not None):
        raise UserError(
            "evaluate compares a target as an arm of its own: give --also target and --target "
            "DATA, both or neither, and no --strategy target"
        )


def _beside(name: str, plain: Select, chosen: Select) -> Select:
    """The recipe of a further arm.

    Args:
        name: of the arm.
        plain: without the floor and quotas of the selected arms.
        chosen: of the arm `selected`.
    """
    if name == BEST_SINGLE:  # only the order differs from that of the rule
        return chosen.model_copy(update={"strategy": "rule"})
    if name == TARGET:  # as `select` chooses for it, with the floor
        kept = ("target", "whiten", "floor", "where")
        aim = {"strategy": TARGET, **{option: getattr(chosen, option) for option in kept}}
        return plain.model_copy(update=aim)
    return plain.model_copy(update={"strategy": "random" if name == BALANCED else name})


def pairs_of(evaluate: Evaluate) -> tuple[tuple[str, str], ...]:
    """The comparisons of an evaluation: (arm, rival)."""
    oracle = (("selected", ORACLE),) if evaluate.clean else ()
    return PAIRS + tuple(("selected", name) for name in evaluate.also) + BESIDE + oracle


def sized(select: Select, top: int | None = None, tokens: int | None = None) -> Select:
    """The same choice with this many examples or tokens, whatever its size was."""
    return select.model_copy(update={**dict.fromkeys(SIZES), "top": top, "tokens": tokens})


def subsets_of(
    rows: DataFrame,
    pick: Pick,
    chosen: dict[str, Select],
    seeds: Sequence[int],
    own_rows: Mapping[str, DataFrame] | None = None,
) -> list[Arm]:
    """Choose the examples of every arm at every seed.

    Args:
        rows: of the pool.
        pick: chooses.
        chosen: of `recipes`.
        seeds: of every arm.
        own_rows: by arm, what it chooses from where that is not the whole pool.

    Raises:
        UserError: an arm finds no examples.
    """
    arms = []
    for name, recipe in chosen.items():
        own = (own_rows or {}).get(name, rows)
        if name == BALANCED:
            recipe = balanced(recipe, rows.select("source").distinct().count())
        if recipe.strategy != "random":
            ids = _picked(own, pick, recipe, name)
            arms += [Arm(name, seed, ids, recipe) for seed in seeds]
            continue
        for seed in seeds:
            drawn = recipe.model_copy(update={"seed": seed + (_APART if name == "full" else 0)})
            arms.append(Arm(name, seed, _picked(own, pick, drawn, name), drawn))
    return arms


def _picked(rows: DataFrame, pick: Pick, recipe: Select, name: str) -> tuple[str, ...]:
    chosen = pick(rows, recipe).orderBy("rank").select("example_id").collect()
    if not chosen:
        raise UserError(f"arm {name} finds no example in this pool ({recipe.strategy})")
    return tuple(row.example_id for row in chosen)
