"""Times and beginnings of texts as a person reads them, and how a cap is shared among tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instructmining.progress import duration
from instructmining.settings.endpoints import Endpoint
from instructmining.snippets import snippet


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min 00 s"),
        (3600, "60 min 00 s"),
        (7199.6, "2 h 00 min"),
        (3 * 3600 + 5 * 60, "3 h 05 min"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert duration(seconds) == words


@given(st.floats(0, 1e6))
def test_a_duration_read_back_is_right_to_its_last_unit(seconds):
    parts = duration(seconds).split()
    units = {"s": 1, "min": 60, "h": 3600}
    back = sum(float(n) * units[unit] for n, unit in zip(parts[::2], parts[1::2], strict=True))
    assert abs(back - seconds) <= (60 if "h" in parts else 0.51)


@given(st.text(), st.integers(2, 40))
def test_a_snippet_is_one_line_of_at_most_so_many_characters_and_marks_a_cut(text, most):
    line = snippet(text, most)
    whole = " ".join(text.split())
    assert len(line) <= most
    assert len(line.splitlines()) <= 1
    assert line == whole or (line.endswith("…") and whole.startswith(line[:-1]))
    assert (line == whole) == (len(whole) <= most)


@given(st.integers(0, 10_000), st.integers(0, 10**7), st.integers(1, 64), st.integers(1, 40))
def test_tasks_share_the_caps_and_together_keep_them(calls, tokens, concurrency, tasks):
    whole = Endpoint(max_calls=calls, max_tokens=tokens, concurrency=concurrency)
    parts = [whole.share(task, tasks) for task in range(tasks)]
    assert sum(part.max_calls for part in parts) == calls
    assert sum(part.max_tokens for part in parts) == tokens
    assert max(part.max_calls for part in parts) - min(part.max_calls for part in parts) <= 1
    # A task that may call at all calls at least one at a time.
    assert sum(part.concurrency for part in parts) == max(concurrency, tasks)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 200), st.integers(0, 200))
def test_what_was_spent_is_off_the_caps_and_none_goes_below_zero(calls, tokens, asked, billed):
    left = Endpoint(max_calls=calls, max_tokens=tokens).after(asked, billed)
    assert (left.max_calls, left.max_tokens) == (max(0, calls - asked), max(0, tokens - billed))
    assert left.is_spent == (asked >= calls or billed >= tokens)
