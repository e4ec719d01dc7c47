"""Finetuning runs as records, and the evaluation sets they are measured on. No torch."""
