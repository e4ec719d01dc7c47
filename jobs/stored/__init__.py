"""Jobs on a store that is there: report on it, keep it compact, erase from it."""
