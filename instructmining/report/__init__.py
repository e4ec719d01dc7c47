"""One HTML page about a scored pool: gathered by Spark, drawn by a template, read by people."""
