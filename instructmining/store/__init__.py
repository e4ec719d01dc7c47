"""The Delta tables of a store: schemas, reading, writing, planning of what is missing."""
