"""What `standardize` makes of a record, in the form in which tests compare it."""

import pytest

from instructmining.layouts.detection import Unusable, standardize

SINGLE = [{"role": "user", "content": "Add 2 and 3."}, {"role": "assistant", "content": "5"}]
MORE = [*SINGLE, {"role": "user", "content": "And 4?"}, {"role": "assistant", "content": "9"}]
SYSTEM = {"role": "system", "content": "Be brief."}


def only(record, *options, **named):
    """The one conversation of a record."""
    [(label, found)] = standardize(record, *options, **named)[1]
    assert label is None
    return found


def found_or_reason(parts):
    return {
        label: found.reason if isinstance(found, Unusable) else [each["content"] for each in found]
        for label, found in parts
    }


def reason(record, *options, **named):
    with pytest.raises(Unusable) as caught:
        standardize(record, *options, **named)
    return caught.value.reason, caught.value.detail
