"""The job `fit`: subsets, finetunes, regression, a registered candidate."""
