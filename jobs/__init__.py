"""Programs: each has `main(argv)` (parse, settings, session) and `run(spark, settings)`."""
