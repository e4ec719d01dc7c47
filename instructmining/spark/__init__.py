"""The Spark session, paths as Spark sees them, and what ends a run from outside. No tables."""
