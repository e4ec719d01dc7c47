"""The shipped quality model tells what its card says it can; no data folder needed."""

import pytest

from udfs.indicators import load_model_list, resolve
from udfs.indicators.quality import QualityScorer
from udfs.running.measurement import Runtime

QUESTION = "Why do leaves change colour in autumn?"
ANSWER = (
    "In autumn the days grow shorter, so trees stop making chlorophyll, the green pigment. "
    "As it fades, yellow and red pigments that were hidden all summer become visible."
)
SPOILED = {
    "swapped": "To change a flat tyre, loosen the nuts, lift the car with a jack, pull the wheel "
    "off, put the spare one on and tighten the nuts again in a star pattern before driving.",
    "shuffled": " ".join(sorted(ANSWER.split(), key=lambda word: word[::-1])),
    "repeated": "In autumn the days grow " * 6,
    "truncated": "In autumn the days grow shorter, so trees stop making",
    "wrong language": "Legen Sie das Ei in kochendes Wasser und warten Sie fünf Minuten, dann ist "
    "es weich und kann mit etwas Salz serviert werden.",
}


@pytest.fixture(scope="module")
def values():
    model = resolve(load_model_list("embedded").stages["reward"])
    scorer = QualityScorer(model.spec, Runtime(model.folder, model.base_folder))
    replies = [ANSWER, *SPOILED.values()]
    found = scorer.measure(
        [
            [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": r}]
            for r in replies
        ]
    )
    assert found.reasons == [None] * len(replies)
    return {
        name: dict(zip(["true", *SPOILED], column, strict=True))
        for name, column in found.values.items()
    }


@pytest.mark.parametrize("how", SPOILED)
def test_the_reward_prefers_the_true_answer(values, how):
    assert values["reward"]["true"] > values["reward"][how] + 0.5


@pytest.mark.parametrize(
    ("question", "how"),
    [
        ("naturalness", "shuffled"),
        ("naturalness", "repeated"),
        ("coherence", "swapped"),
        ("coherence", "wrong language"),
        ("understandability", "shuffled"),
    ],
)
def test_the_yes_no_questions_are_answered(values, question, how):
    assert values[question]["true"] > 0.5 > values[question][how]
