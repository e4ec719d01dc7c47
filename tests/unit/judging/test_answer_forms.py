"""The form of an answer against that of its reference."""

import pytest

from instructmining.judging.answer_forms import Form, form_of, keeps_form
from instructmining.judging.pairs import Judgement
from instructmining.judging.right_answers import by_match, rights_of

LIST = "1. Seine\n2. Rhine\n3. Danube"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"river": "Seine"}', Form("JSON object")),
        (' ["Seine", "Rhine"]\n', Form("JSON array")),
        ('{"river": "Seine"', None),
        ("[" * 100_000, Form("one word")),
        ("Use this:\n```python\nprint(1)\n```\nIt prints 1.", Form("code block")),
        ("Use `print` and ``` for it", None),
        (LIST, Form("numbered list", 3)),
        (f"Three rivers:\n{LIST}", Form("numbered list", 3)),
        ("1) one\n2) two", Form("numbered list", 2)),
        ("1. one", None),
        ("One year, in\n1998. It rained,\nand it snowed,\nand\n2001. It did not.", None),
        ("- Seine\n\n- Rhine", Form("bulleted list", 2)),
        ("* Seine\n* Rhine\n• Danube", Form("bulleted list", 3)),
        ("Yes.", Form("yes or no")),
        ("no", Form("yes or no")),
        ("No, it does not.", None),
        ("Paris.", Form("one word")),
        ("The capital is Paris.", None),
        ("", None),
    ],
)
def test_the_form_of_a_text(text: str, form: Form | None) -> None:
    assert form_of(text) == form


@pytest.mark.parametrize(
    ("answer", "reference", "kept"),
    [
        ("1. Po\n2. Elbe\n3. Volga", LIST, True),
        ("1. Po\n2. Elbe", LIST, False),
        ("- Po\n- Elbe\n- Volga", LIST, False),
        ('{"a": 1}', '{"b": []}', True),
        ("[1]", '{"b": []}', False),
        ("No!", "yes", True),
        ("Perhaps", "yes", False),
        ("Rome", "Paris", True),
        ("A sentence of words.", "Another sentence.", False),
        ("", "", False),
    ],
)
def test_an_answer_keeps_the_form_of_its_reference(answer: str, reference: str, kept: bool) -> None:
    assert keeps_form(answer, reference) is kept


def test_forms_decide_a_pair_and_are_counted_under_their_own_name() -> None:
    pair = ("1. Po\n2. Elbe\n3. Volga", "The Po.")
    assert by_match(pair, LIST, keeps_form) == Judgement("win")
    counted = rights_of([(pair, LIST), (("Rome", "Bonn"), "Paris")], keeps_form)
    said = counted.words("selected", "random", "answers in the reference's form")
    assert said == "answers in the reference's form: selected 2 of 2, random 1 of 2"
