"""The range that a rule is held to hold in: that of the subsets it was fitted on, with a margin."""

import pandas as pd

from jobs.fitting.record import ranges


def test_a_range_is_that_of_the_subset_means_widened_by_half_of_its_width() -> None:
    means = pd.DataFrame({"perplexity": [10.0, 30.0, 20.0], "naturalness": [0.9, 0.9, 0.9]})
    assert ranges(means) == {"perplexity": (0.0, 40.0), "naturalness": (0.9, 0.9)}
