"""How the embedded models were trained and how their figures are recomputed; not in the wheel."""
