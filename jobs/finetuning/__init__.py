"""Finetuning runs on Spark, for `fit`, `evaluate` and `select --size auto`."""
