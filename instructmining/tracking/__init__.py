"""Runs in MLflow: parameters, metrics, pictures. Rules are in `rules`."""
