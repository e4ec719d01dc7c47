"""Distances to nearest neighbours in a pool, exact or by cells."""
