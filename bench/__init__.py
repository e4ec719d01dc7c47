"""Proofs and measurements, each one command: `python -m bench.NAME` in the repository's root.

They read what the job stored, as any other reader of the tables would, and print tables of
Markdown; what they printed last is in `docs/measured`. Not part of the wheel.
"""
