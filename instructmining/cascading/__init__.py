"""A costly stage on a sample: who is in it, and what ridge regression predicts for the rest."""
