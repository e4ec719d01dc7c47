"""Scorers on executors: placement, Arrow batches, the audit of tasks."""
