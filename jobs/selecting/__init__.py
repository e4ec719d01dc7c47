"""The job `select`: strategy, quotas, diversity, size, export."""
