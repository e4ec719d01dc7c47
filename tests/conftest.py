"""What all tests share: how long the property tests search."""

from hypothesis import settings

# `make campaign`: minutes of search instead of seconds; what it finds becomes a test of its own.
settings.register_profile("campaign", deadline=None, max_examples=8_000, print_blob=True)
