"""Planted overlaps are found, none is invented, whatever the script."""

from instructmining.finetunes.overlap import marks, words

ASKED = "Write a short poem about the river that runs behind our old house in spring."
CHINESE = "请用简单的语言解释为什么天空在白天是蓝色的"
THAI = "ช่วยเขียนจดหมายถึงเพื่อนของฉันเรื่องการเดินทาง"
ARABIC = "اكتب رسالة قصيرة إلى صديقي عن رحلتي الأخيرة إلى البحر في الصيف"


def talk(prompt: str, response: str = "Gladly.") -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]


def overlap(one: list[dict[str, str]], other: list[dict[str, str]], n: int = 8) -> bool:
    return not marks(one, n).isdisjoint(marks(other, n))


def test_words_are_normalised_in_form_and_case() -> None:
    assert words("Ｃafé, STRASSE—Straße 12!") == ["café", "strasse", "strasse", "12"]
    assert words("Cafe\u0301") == ["café"]


def test_eight_words_in_a_row_are_an_overlap_wherever_they_stand() -> None:
    inside = talk("Hello!", "Sure: SHORT poem about the river, that runs behind… and so on")
    assert overlap(talk(ASKED), inside)


def test_seven_words_in_a_row_are_none() -> None:
    assert not overlap(talk(ASKED), talk("A short poem about the river that is quite dry by now."))


def test_runs_do_not_cross_from_one_message_into_the_next() -> None:
    split = talk("Write a short poem about", "the river that runs behind our")
    assert not overlap(talk(ASKED), split)


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert overlap(talk(CHINESE), talk("说明", "天空在白天是蓝色的,因为"))
    assert not overlap(talk(CHINESE), talk("天空为什么是蓝色的"))
    assert overlap(talk(THAI), talk(THAI[:30]))
    assert not overlap(talk(THAI), talk(CHINESE))


def test_other_scripts_with_spaces_are_compared_by_word() -> None:
    assert overlap(talk(ARABIC), talk("مرحبا", ARABIC))
    assert not overlap(talk(ARABIC), talk(" ".join(ARABIC.split()[:7])))


def test_a_short_prompt_overlaps_only_with_the_same_prompt() -> None:
    assert overlap(talk("Tell a joke!", "one"), talk("tell a joke", "another"))
    assert not overlap(talk("Tell a joke!"), talk("Tell a joke about cats"))
    assert not overlap(talk("Tell a joke!"), talk(ASKED, "Tell a joke!"))


def test_short_turns_of_a_longer_history_count_as_one_prompt() -> None:
    history = [*talk("Name a city.", "Paris."), *talk("And its river, please?", "The Seine.")]
    other = [*talk("Name a city.", "Rome."), *talk("And its river, please?", "The Tiber.")]
    assert overlap(history, other)
    assert not overlap(history, talk("Name a city.", "Paris."))


def test_texts_without_words_overlap_with_nothing() -> None:
    assert marks(talk("", "…!"), 8) == set()
    assert not overlap(talk("??", "!!"), talk("??", "!!"))
