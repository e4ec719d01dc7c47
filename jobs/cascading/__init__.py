"""`score --cascade`: a stage that measures a share of the pool, and is predicted for the rest."""
