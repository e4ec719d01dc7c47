"""Samples of evaluation sets."""

from instructmining.finetunes.evaluation_sets import EvaluationSet

TURNS = tuple([{"role": "user", "content": word}] for word in ("one", "two", "three"))
WHOLE = EvaluationSet("w", TURNS, ("a", "b", "c"), 1)


def test_a_sample_is_a_set_of_its_own_and_one_that_is_large_enough_is_the_set():
    two = WHOLE.sample(2)
    assert (two.ids, two.conversations) == (("a", "b"), TURNS[:2])
    assert two.version != WHOLE.version  # so that its runs are others
    assert WHOLE.sample(3) == WHOLE.sample(None) == WHOLE
