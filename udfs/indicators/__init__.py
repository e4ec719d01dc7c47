"""The indicators, one file each, on plain arrays. No Spark."""
