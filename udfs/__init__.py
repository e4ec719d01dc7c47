"""What executors run: indicators, neighbours, finetunes; `udfs.indicator` is the door to Spark."""
