"""The language of a text, or nothing where the text does not let one be sure."""

import pytest

pytest.importorskip("py3langid")

from udfs.texts.language import language_of


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The library closes at nine in the evening, and opens again on Monday.", "en"),
        ("Die Bibliothek schließt um neun Uhr abends und öffnet am Montag wieder.", "de"),
        ("La bibliothèque ferme à vingt et une heures et rouvre le lundi matin.", "fr"),
        ("أفضل وقت هو الربيع من مارس إلى مايو أو الخريف من سبتمبر إلى نوفمبر", "ar"),
        ("この電車は次の駅で急行に連絡します。お乗り換えの方は3番線でお待ちください。", "ja"),
    ],
)
def test_a_sentence_has_its_language(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text", [None, "", "   ", "42", "Paris", "Joe Alwyn", "def f(x):\n    return x + 1"]
)
def test_names_numbers_and_code_have_none(text: str | None) -> None:
    assert language_of(text) is None
