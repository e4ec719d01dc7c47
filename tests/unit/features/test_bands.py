"""How many bands a threshold needs, by the formula of the textbook."""

import pytest

from instructmining.errors import UserError
from instructmining.features.text_pairs import MISSED, ROWS, bands_for
from instructmining.settings.loading import load_settings


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_bands_miss_no_more_than_is_promised(threshold: float):
    missed = (1 - threshold**ROWS) ** bands_for(threshold)
    assert missed <= MISSED
    if bands_for(threshold) > 1:
        assert (1 - threshold**ROWS) ** (bands_for(threshold) - 1) > MISSED


@pytest.mark.parametrize("text", ["text=0.8", "text=.95", "text=1", "text=1.0"])
def test_a_threshold_is_written_with_its_kind(text: str):
    assert load_settings(sets=[f"select.near_duplicates={text}"]).select.near_duplicates == text


@pytest.mark.parametrize("text", ["0.8", "text=0", "text=0.0", "text=1.2", "vector=0.8"])
def test_another_form_is_refused(text: str):
    with pytest.raises(UserError, match=r"select\.near_duplicates"):
        load_settings(sets=[f"select.near_duplicates={text}"])
