"""From one raw record to conversations, and back to a record of a layout. No files or tables."""
