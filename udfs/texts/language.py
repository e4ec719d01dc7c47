"""The language of texts, by py3langid (Naive Bayes over byte sequences), which ships its model.

No weights are downloaded, nothing is random, and no torch is needed.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

_READ = 400  # characters
_FEWEST = 20  # letters: below that a name decides
_SURE = 0.8  # probability, in the Latin alphabet, where names and lists look like many languages
_SURE_OF_SCRIPT = 0.4  # in other scripts
_LETTERS = re.compile(r"[^\W\d_]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")


def language_of(text: str | None) -> str | None:
    """The ISO 639 code of a text's language; None where the text does not let one be sure.

    Args:
        text: its beginning is read.
    """
    beginning = unicodedata.normalize("NFC", (text or "")[:_READ])
    letters = len(_LETTERS.findall(beginning))
    latin = len(_LATIN.findall(beginning))
    if letters < (_FEWEST if latin * 2 > letters else 2):
        return None
    code, probability = _identifier().classify(beginning)
    is_sure = probability >= (_SURE if latin * 2 > letters else _SURE_OF_SCRIPT)
    return str(code) if is_sure else None


def can_tell_languages() -> bool:
    """Whether py3langid is installed here."""
    return find_spec("py3langid") is not None


def language_column(text: Column) -> Column:
    """`language_of` as a STRING column; only what is read of a text goes to the worker."""

    def run(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for texts in batches:
            yield texts.map(language_of).astype("object")

    run.__annotations__ = {"batches": Iterator[pd.Series], "return": Iterator[pd.Series]}
    return pandas_udf(run, "string")(F.substring(text, 1, _READ))  # type: ignore[call-overload]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
