"""What the summary says of fields that no layout has read."""

import pytest

from instructmining.errors import UserError
from instructmining.reading.unread_fields import UnreadField, refuse_unread, unread_lines

FIELDS = [UnreadField(f"meta.f{i}", 1000 - i, "d/a.jsonl", 7, f"Wert {i}") for i in range(14)]


def test_the_summary_lists_the_fields_of_most_rows_with_an_instance() -> None:
    lines = unread_lines(FIELDS)
    assert lines[0].startswith("  14 fields with text are in no example (the first 12)")
    assert lines[1] == "    meta.f0 (rows: 1,000), as in d/a.jsonl 7: Wert 0"
    assert len(lines) == 13
    assert "the first" not in unread_lines(FIELDS[:2])[0]
    assert unread_lines([]) == []


def test_strict_fields_is_one_sentence_with_a_remedy() -> None:
    refuse_unread([])
    with pytest.raises(UserError, match=r"--strict-fields: 2 fields .*meta\.f0 .*--keep"):
        refuse_unread(FIELDS[:2])
