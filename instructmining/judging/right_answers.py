"""Is an answer right? Its number, or its words, against those of the reference.

The last number decides where the reference ends in one: after `####` as in GSM8K, in `\\boxed{…}`,
or in the last line. Otherwise the words do, as SQuAD counts an exact match (Rajpurkar et al. 2016,
arXiv 1606.05250): without case, punctuation, articles and surplus spaces.
"""

import re
import string
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from instructmining.judging.pairs import Judgement

Right = Callable[[str, str], bool]  # of an answer and its reference
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Rights(NamedTuple):
    """How many answers of two arms are right, of `n` pairs."""

    first: int
    second: int
    n: int

    def words(self, arm: str, rival: str, what: str = "right answers") -> str:
        """The counts in words."""
        return f"{what}: {arm} {self.first} of {self.n}, {rival} {self.second} of {self.n}"


def is_right(answer: str, reference: str) -> bool:
    """Whether the answer says what the reference says; a blank reference is met by no answer."""
    wanted = final_part(reference)
    if (number := _last_number(wanted)) is not None:
        return _last_number(final_part(answer)) == number or _last_number(answer) == number
    return bool(plain_words(wanted)) and plain_words(wanted) in (
        plain_words(answer),
        plain_words(final_part(answer)),
    )


def by_match(answers: Sequence[str], reference: str, right: Right = is_right) -> Judgement:
    """The arm that alone is right wins."""
    first, second = (right(answer, reference) for answer in answers)
    return Judgement("tie" if first == second else "win" if first else "lose")


def rights_of(pairs: Iterable[tuple[Sequence[str], str]], right: Right = is_right) -> Rights:
    """Count the right answers of both arms.

    Args:
        pairs: the two answers, and the reference.
        right: whether an answer is right, given the reference.
    """
    listed = list(pairs)
    first = sum(right(answers[0], reference) for answers, reference in listed)
    second = sum(right(answers[1], reference) for answers, reference in listed)
    return Rights(first, second, len(listed))


def final_part(text: str) -> str:
    """What a worked answer comes to: what its mark encloses, else its last line."""
    if boxed := _BOXED.findall(text):
        return str(boxed[-1])
    _, mark, marked = text.rpartition("####")
    lines = (marked if mark else text).strip().splitlines() or [""]
    return lines[0] if mark else lines[-1]


def _last_number(text: str) -> Decimal | None:
    numbers = _NUMBER.findall(text)
    return Decimal(numbers[-1].replace(",", "")) if numbers else None


def plain_words(text: str) -> str:
    """The words without case, punctuation, articles and surplus spaces."""
    words = _ARTICLES.sub(" ", text.casefold().translate(_NO_PUNCTUATION))
    return " ".join(words.split())
