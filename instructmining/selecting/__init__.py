"""Choosing examples of a scored pool and writing them out."""
