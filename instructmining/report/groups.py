"""What moves the predicted loss of a group: mean contributions of its terms beside the rest's.

    prediction = intercept + sum of contributions

so that the difference of two mean predictions is the sum of the differences of mean contributions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN = 3  # terms of a group


@dataclass(frozen=True)
class Move:
    """One term of the rule in a group.

    Attributes:
        term: its name.
        difference: mean contribution in the group - in the rest; below 0: better than the rest.
        inside: mean of its indicator in the group.
        outside: mean of its indicator in the rest.
    """

    term: str
    difference: float
    inside: float
    outside: float


@dataclass(frozen=True)
class Group:
    """A group of examples that have a prediction, beside all others that have one.

    Attributes:
        name: of the group.
        size: examples in it.
        scored: of these with a prediction.
        loss: mean predicted log loss, lower is better.
        difference: that mean - the mean of the rest.
        moves: all terms, what moves most first; the differences add up to `difference`.
    """

    name: str
    size: int
    scored: int
    loss: float
    difference: float
    moves: tuple[Move, ...]


def groups_of(rows: Sequence[Mapping[str, Any]], terms: Sequence[str]) -> list[Group]:
    """The groups, the worst first; those without a prediction, or alone in the pool, are left out.

    Args:
        rows: per group `name`, `size`, `scored`, `loss` (sum of predictions), and for each term
            `contribution_<term>` and `value_<term>`, sums over the examples with a prediction.
        terms: of the rule.
    """
    sums = ["scored", "loss", *(f"{kind}_{term}" for term in terms for kind in _KINDS)]
    total = {name: sum(row[name] or 0 for row in rows) for name in sums}
    groups = []
    for row in rows:
        rest = {name: total[name] - (row[name] or 0) for name in sums}
        if row["scored"] and rest["scored"]:
            groups.append(_group(row, rest, terms))
    return sorted(groups, key=lambda group: (-group.difference, group.name))


_KINDS = ("contribution", "value")


def _group(row: Mapping[str, Any], rest: Mapping[str, Any], terms: Sequence[str]) -> Group:
    def means(name: str) -> tuple[float, float]:
        return row[name] / row["scored"], rest[name] / rest["scored"]

    moves = []
    for term in terms:
        inside, outside = means(f"contribution_{term}")
        moves.append(Move(term, inside - outside, *means(f"value_{term}")))
    loss, others = means("loss")
    return Group(
        str(row["name"]),
        row["size"],
        row["scored"],
        loss,
        loss - others,
        tuple(sorted(moves, key=lambda move: -abs(move.difference))),
    )


def page(groups: Sequence[Group], examples: Mapping[str, str], title: str) -> str:
    """The text on the terminal.

    Args:
        groups: as `groups_of` orders them.
        examples: group to the beginning of its most telling example.
        title: the first line.
    """
    lines = [title, "", "mean predicted log loss of a group beside the rest; lower is better"]
    for group in groups:
        lines += [
            "",
            f"{group.name}: {group.loss:+.4f}, {group.difference:+.4f} to the rest "
            f"({group.scored:,} of {group.size:,} examples have a prediction)",
        ]
        lines += [_line(move) for move in group.moves[:_SHOWN]]
        if group.name in examples:
            lines.append(f"  most telling: {examples[group.name]}")
    if not groups:
        lines += ["", "there is one group only, so that nothing can be compared"]
    return "\n".join(lines)


def _line(move: Move) -> str:
    means = f"mean {move.inside:.4g}, rest {move.outside:.4g}"
    return f"  {move.difference:+.4f}  {move.term}: {means}"
