"""Models that a server holds: where it is, the key for it, and calls with retries and caps."""
