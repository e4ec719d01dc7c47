"""Which of two answers is better, or whether one is right: verdicts, options, forms, counts."""
