"""Which examples nearly repeat others, by their words."""
