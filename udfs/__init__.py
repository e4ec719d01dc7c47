"""Indicators: one file each, plain arrays in and out; `indicator.py` is the only door to Spark."""
