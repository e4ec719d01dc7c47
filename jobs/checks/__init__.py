"""What can be known before a run is checked before it."""
