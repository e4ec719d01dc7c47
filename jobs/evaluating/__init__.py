"""The job `evaluate`: arms, seeds, learning rates, intervals, a verdict."""
