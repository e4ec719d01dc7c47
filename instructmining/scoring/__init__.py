"""Stored measurements and a rule to scores, and the page that says so. No model runs here."""
