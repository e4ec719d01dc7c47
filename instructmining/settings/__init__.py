"""Typed settings: sections, defaults, and the YAML files they come from. No Spark."""
