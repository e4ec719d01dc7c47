"""What a number of seeds can see: power of the two-sided paired t test, by statsmodels."""

from math import ceil

LEVEL, POWER = 0.05, 0.80


def detectable(sd: float, seeds: int, level: float = LEVEL) -> float:
    """The smallest true difference that the seeds find with 80 % power.

    Args:
        sd: standard deviation of the paired differences; the result has its unit.
        seeds: pairs, two at least.
        level: of the test.
    """
    from statsmodels.stats.power import TTestPower

    return sd * float(TTestPower().solve_power(nobs=seeds, alpha=level, power=POWER))


def seeds_for(difference: float, sd: float, level: float = LEVEL) -> int:
    """The fewest seeds that find a true difference of this size with 80 % power.

    Args:
        difference: in the unit of `sd`, not zero.
        sd: standard deviation of the paired differences, above zero.
        level: of the test.
    """
    from statsmodels.stats.power import TTestPower

    size = abs(difference) / sd
    return ceil(TTestPower().solve_power(effect_size=size, alpha=level, power=POWER))
