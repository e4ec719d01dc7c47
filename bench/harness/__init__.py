"""What the measurements share: arms side by side, rows, references. Nothing here is run alone."""
