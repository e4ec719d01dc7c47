"""The job `evaluate`: arms, seeds, intervals, judges, a verdict."""
