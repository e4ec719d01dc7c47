"""A question that costs time is asked seldom."""

from jobs.finetuning.seldom import Seldom


def test_a_question_takes_a_tenth_of_the_time_at_most():
    now = [0.0]
    asked = []

    def ask():
        asked.append(now[0])
        now[0] += 30.0
        return "enough" if len(asked) == 2 else None

    seldom = Seldom(ask, lambda: now[0])
    assert seldom() is None
    for _ in range(4):  # waves of a minute
        now[0] += 60.0
        assert seldom() is None
    assert asked == [0.0]
    now[0] += 60.0
    assert seldom() == "enough"
    assert asked == [0.0, 330.0]


def test_one_that_costs_nothing_is_asked_every_time():
    asked = []
    seldom = Seldom(lambda: asked.append(1), lambda: 5.0)
    seldom()
    seldom()
    assert len(asked) == 2
