"""Numbers that others computed, as indicators: out of kept columns, or out of other files."""
