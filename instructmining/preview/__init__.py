"""What `preview` shows of data before it is scored: facts of each file, and the page. No Spark."""
