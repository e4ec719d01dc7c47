"""Which indicators of a stage are predicted, and when a cascade is refused."""

import math

import pytest

from instructmining.errors import UserError
from instructmining.settings.cascading import Cascade
from jobs.cascading.fitted import refuse_bad

CASCADE = Cascade(shares={"reward": 0.05}, min_r2=0.3)


def test_what_is_good_enough_is_predicted_and_the_rest_left_out() -> None:
    found = {"reward": 0.3, "naturalness": 0.1}
    assert refuse_bad(found, ["reward", "knn_6"], "reward", CASCADE) == ["reward"]
    assert refuse_bad(found, [], "reward", CASCADE) == ["reward"]


@pytest.mark.parametrize(
    ("found", "needed"),
    [
        ({"reward": 0.9, "naturalness": 0.1}, ["reward", "naturalness"]),
        ({"reward": 0.2, "naturalness": 0.1}, []),
        ({"naturalness": math.nan}, []),
    ],
)
def test_a_bad_one_that_the_rule_needs_or_nothing_but_bad_ones_is_refused(
    found: dict[str, float], needed: list[str]
) -> None:
    said = r"--cascade reward=0\.05 .* naturalness: R² (0\.10|nan); cascade.min_r2 is 0\.3"
    with pytest.raises(UserError, match=said.replace(" .* ", ".*")):
        refuse_bad(found, needed, "reward", CASCADE)
