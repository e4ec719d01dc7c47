"""Whether a comparison hangs on the learning rate: the winner and random at several rates.

    best rate of an arm = the one with its lowest mean loss over seeds, on every second prompt
    difference          = loss of the winner − loss of random, each at its best rate, same seed, on
                          the prompts between; below zero the winner is better

The lowest of several noisy losses is lower than its true value, so the prompts that choose a rate
do not measure the difference. Where losses of single prompts are not known, the same prompts do
both, which flatters both arms alike; the page says which it was. The winner itself was chosen at
the usual rate, on all prompts of the first evaluation set.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from instructmining.evaluating.arms import BASE, ORACLE
from instructmining.evaluating.comparison import better_of, differences, means, p_text
from instructmining.evaluating.page import exact
from instructmining.evaluating.seeds_and_prompts import PromptLosses
from instructmining.fitting.page import markdown

RANDOM = "random"
USUAL = 1.0
_NO_WINNERS = {RANDOM, ORACLE, BASE, "full"}
_FEWEST_PROMPTS = 4  # two to choose by and two to compare on


@dataclass(frozen=True)
class RateReading:
    """What several rates say of the winner and random.

    Attributes:
        winner: the arm that is set against random.
        rates: multiples of the recipe's rate, ascending, 1 among them.
        means: of `comparison.means`, with `rate`, the arms under their own names.
        at_rates: of `comparison.differences`, a row per evaluation set and rate, with `rate`.
        at_best: the same with each arm at its best rate, a row per evaluation set, with `arm_rate`
            and `rival_rate` (NaN where an arm has no run) and `chosen_on`, the number of prompts
            that chose the rates and had no part in the difference; 0: the same prompts did both.
    """

    winner: str
    rates: tuple[float, ...]
    means: pd.DataFrame
    at_rates: pd.DataFrame
    at_best: pd.DataFrame

    def sentences(self) -> list[str]:
        """Three for every evaluation set: at each rate, at the best rates, and what follows."""
        return [
            f"{best.evaluation}: {said}"
            for best in self.at_best.itertuples()
            for said in self._of(best)
        ]

    def lines(self) -> Iterator[str]:
        """Losses and differences at every rate, in Markdown."""
        yield (
            "\n## At other learning rates\n\nMultiples of the recipe's rate. Differences are "
            f"{self.winner} − {RANDOM}; `p_adjusted` counts all of this table.\n"
        )
        shown = self.means.set_index("rate").sort_index(kind="stable")
        yield from markdown(exact(shown), "rate")
        yield ""
        columns = ["evaluation", "n", "prompts", "difference", "low", "high", "p", "p_adjusted"]
        yield from markdown(exact(self.at_rates.set_index("rate")[columns]), "rate")

    def _of(self, best: Any) -> Iterator[str]:
        rows = self.at_rates[self.at_rates["evaluation"] == best.evaluation]
        better = {row.rate: _plain(better_of(row)) for row in rows.itertuples() if row.n > 1}
        yield _counted(self.winner, better, len(self.rates))
        yield _at_best(self.winner, best) + self._at_the_end(best)
        if USUAL in better and best.n > 1:
            yield _follows(better, _plain(better_of(best)), len(self.rates))
        else:
            yield "too few runs to say whether the learning rate decides"

    def _at_the_end(self, best: Any) -> str:
        """Where a best rate has no neighbour on one side, so that a rate beyond may be better."""
        ends = {self.rates[0]: "lowest", self.rates[-1]: "highest"}
        return "".join(
            f"; {arm} is best at the {ends[rate]} rate that was tried: one beyond may be better"
            for arm, rate in ((self.winner, best.arm_rate), (RANDOM, best.rival_rate))
            if rate in ends
        )


class _Halves(NamedTuple):
    """Losses of runs on the prompts that choose the rates, and on those that compare."""

    choosing: pd.DataFrame
    comparing: pd.DataFrame
    prompts: PromptLosses | None  # of those that compare
    chosen_on: int


def winner_of(average: pd.DataFrame, evaluation: str) -> str | None:
    """The arm that is set against random: the lowest mean loss of those that select.

    Args:
        average: of `comparison.means`.
        evaluation: the set that decides.

    Returns:
        None where random, or every arm that selects, has no loss.
    """
    rows = average[average["evaluation"] == evaluation].set_index("arm")["loss"]
    selecting = rows[~rows.index.isin(_NO_WINNERS)]
    return str(selecting.idxmin()) if RANDOM in rows and len(selecting) else None


def at_rate(arm: str, rate: float) -> str:
    """What an arm at a multiple of the usual rate is called in tables."""
    return f"{arm} at {rate:g} times the rate"


def at_best_rate(arm: str) -> str:
    """What an arm at its best rate is called in tables."""
    return f"{arm} at its best rate"


def read_rates(
    losses: pd.DataFrame,
    winner: str,
    rates: Sequence[float],
    prompts: Mapping[str, PromptLosses],
) -> RateReading:
    """Compare the winner with random at every rate, and each at its own best.

    Args:
        losses: `evaluation`, `arm` (of `at_rate`), `seed`, `loss`; one row per finished run.
        winner: of `winner_of`.
        rates: multiples of the recipe's rate, ascending, 1 among them.
        prompts: by evaluation set, losses of single prompts under the same names of arms.
    """
    rate_of = {at_rate(arm, rate): rate for arm in (winner, RANDOM) for rate in rates}
    average = means(losses)
    average["rate"] = average["arm"].map(rate_of)
    average["arm"] = average["arm"].map(_plain)
    pairs = [(at_rate(winner, rate), at_rate(RANDOM, rate)) for rate in rates]
    compared = differences(losses, pairs, prompts)
    compared["rate"] = compared["arm"].map(rate_of)
    at_best = _each_at_its_best(losses, winner, rates, prompts)
    return RateReading(winner, tuple(rates), average, compared, at_best)


def _each_at_its_best(
    losses: pd.DataFrame,
    winner: str,
    rates: Sequence[float],
    prompts: Mapping[str, PromptLosses],
) -> pd.DataFrame:
    """One row per evaluation set, see `RateReading.at_best`."""
    frames = []
    chosen = []
    known = {}
    for name, group in losses.groupby("evaluation", sort=False):
        halves = _halves(group, prompts.get(str(name)))
        arm_rate, rival_rate = (_best(halves.choosing, arm, rates) for arm in (winner, RANDOM))
        names = {
            at_rate(winner, arm_rate): at_best_rate(winner),
            at_rate(RANDOM, rival_rate): at_best_rate(RANDOM),
        }
        own = halves.comparing[halves.comparing["arm"].isin(list(names))]
        frames.append(own.assign(arm=own["arm"].map(names)))
        chosen.append((arm_rate, rival_rate, halves.chosen_on))
        if halves.prompts is not None:
            known[str(name)] = halves.prompts.renamed(names)
    pair = (at_best_rate(winner), at_best_rate(RANDOM))
    compared = differences(pd.concat(frames, ignore_index=True), [pair], known)
    return compared.join(pd.DataFrame(chosen, columns=["arm_rate", "rival_rate", "chosen_on"]))


def _halves(losses: pd.DataFrame, known: PromptLosses | None) -> _Halves:
    """Losses of one evaluation set on two halves of its prompts, or on all of them twice."""
    runs = list(zip(losses["arm"], losses["seed"], strict=True))
    if known is None or len(known.weights) < _FEWEST_PROMPTS:
        return _Halves(losses, losses, known, 0)
    if not all(run in known.losses for run in runs):
        return _Halves(losses, losses, known, 0)
    first, second = known.every_second(0), known.every_second(1)
    return _Halves(
        losses.assign(loss=[first.mean(*run) for run in runs]),
        losses.assign(loss=[second.mean(*run) for run in runs]),
        second,
        len(first.weights),
    )


def _best(losses: pd.DataFrame, arm: str, rates: Sequence[float]) -> float:
    """The rate of the lowest mean loss; one at which more runs failed than elsewhere is not it.

    Returns:
        NaN where the arm has no run at any rate.
    """
    at = {rate: losses.loc[losses["arm"] == at_rate(arm, rate), "loss"] for rate in rates}
    most = max(len(own) for own in at.values())
    complete = [rate for rate in rates if len(at[rate]) == most > 0]
    return min(complete, key=lambda rate: float(at[rate].mean()), default=float("nan"))


def _plain(arm: str | None) -> str | None:
    """The arm's own name."""
    return arm.split(" at ")[0] if arm else None


def _counted(winner: str, better: Mapping[float, str | None], rates: int) -> str:
    """Which arm is better at how many rates."""

    def places(arm: str | None) -> str:
        own = [f"{rate:g}" for rate, name in better.items() if name == arm]
        return f"{len(own)} of {rates} rates" + (f" ({', '.join(own)})" if own else "")

    said = [f"{winner} is better than {RANDOM} at {places(winner)}"]
    if RANDOM in better.values():
        said.append(f"{RANDOM} is better at {places(RANDOM)}")
    if None in better.values():
        said.append(f"no difference can be detected at {places(None)}")
    if len(better) < rates:
        said.append(f"too few runs at {rates - len(better)} of {rates} rates")
    return ", ".join(said)


def _at_best(winner: str, best: Any) -> str:
    if best.n < 2:
        return f"{winner} and {RANDOM} at their best rates cannot be compared: n = {best.n} seeds"
    over = f"n = {best.n} seeds" + (f", {best.prompts} prompts" if best.prompts else "")
    how = (
        f"the rates were chosen on {best.chosen_on} other prompts"
        if best.chosen_on
        else "the rates were chosen on the same prompts, which flatters both arms alike"
    )
    return (
        f"with each at its best rate ({winner} {best.arm_rate:g}, {RANDOM} {best.rival_rate:g}) "
        f"the difference {winner} − {RANDOM} is {best.difference:+.4f} [{best.low:+.4f}, "
        f"{best.high:+.4f}] nats per token (p = {p_text(best.p_adjusted)}), {over}; {how}"
    )


def _follows(better: Mapping[float, str | None], at_best: str | None, rates: int) -> str:
    """Whether what is said at the usual rate holds at the others and at the best ones."""
    usual = better[USUAL]
    held = sum(name == usual for name in better.values())
    where = "at that rate only" if held == 1 else f"at {held} of {rates} rates"
    said = f"at the usual rate {_words(usual)}, which holds {where}"
    if at_best == usual:
        said += " and with each at its best"
    else:
        said += f"; with each at its best rate {_words(at_best)}"
    if at_best == usual and held == rates:
        return f"{said}: the learning rate does not decide it"
    if len({*better.values(), at_best} - {None}) > 1:
        return f"{said}: the verdict turns with the learning rate"
    return said if at_best == usual else f"{said}: the learning rate may decide it"


def _words(better: str | None) -> str:
    return f"{better} is better" if better else "no difference can be detected"
