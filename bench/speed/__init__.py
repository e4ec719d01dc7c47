"""Measurements of time and memory, each one command: `python -m bench.speed.NAME`."""
