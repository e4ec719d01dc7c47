"""From finetuned arms to a verdict: comparisons, learning rates, sizes, the page about it."""
