"""What all tests share: how long the property tests search, and when no test is begun any more."""

import time

import pytest
from hypothesis import settings

# `make campaign`: minutes of search instead of seconds; what it finds becomes a test of its own.
settings.register_profile("steady", deadline=None)  # a busy machine is not a failure
settings.load_profile("steady")
settings.register_profile("campaign", deadline=None, max_examples=8_000, print_blob=True)

_BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--begin-within",
        type=float,
        metavar="MINUTES",
        default=float("inf"),
        help="skip the tests whose turn comes later than that",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture of a test is made: where the time is over, skip it and say so."""
    minutes = item.config.getoption("--begin-within")
    if time.monotonic() - _BEGAN > 60 * minutes:
        pytest.skip(f"its turn did not come within {minutes:g} minutes")
