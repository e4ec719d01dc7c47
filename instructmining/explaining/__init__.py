"""Why a group of examples is predicted to be better or worse than the rest of its pool."""
