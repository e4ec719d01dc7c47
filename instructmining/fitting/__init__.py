"""From finetuning runs to a rule: design of subsets, regression, terms, the page about it."""
