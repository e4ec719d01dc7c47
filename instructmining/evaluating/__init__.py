"""From finetuned arms to a verdict: comparisons, judges, sizes, the page about it."""
