"""The judges of an evaluation: answers of two arms, compared by a model, an endpoint or a match."""
