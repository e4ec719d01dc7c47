"""The job `score`: read, measure what is missing, neighbours, rule."""
