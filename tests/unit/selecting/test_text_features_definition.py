"""Stored features are read as what today's code computes: the code has a number in the store."""

import hashlib
from pathlib import Path

from jobs.selecting.text_features import _FEATURES, definition

ROOT = Path(__file__).parents[3]
CODE = ("instructmining/features/columns.py", "udfs/texts/language.py")
KNOWN = {1: "397f35b8e078ea24"}


def test_the_number_of_the_definition_is_raised_with_the_code() -> None:
    """Where this fails: raise `_FEATURES` if a value changed, then note the new hash here."""
    code = b"".join((ROOT / name).read_bytes() for name in CODE)
    assert hashlib.sha256(code).hexdigest()[:16] == KNOWN[_FEATURES]


def test_the_definition_names_what_tells_languages() -> None:
    assert definition().startswith(f"features {_FEATURES}, py3langid ")
