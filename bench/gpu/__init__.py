"""`make bench-gpu`: scoring, finetunes and neighbours on a CUDA device, in suites; no Spark."""
