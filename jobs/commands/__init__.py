"""The commands of the console: options to settings, nothing else."""
