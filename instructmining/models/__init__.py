"""Which models measure the indicators: lists, folders, fingerprints. No inference."""

from instructmining.models.lists import load_model_list

__all__ = ["load_model_list"]
