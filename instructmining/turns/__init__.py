"""What one turn of a conversation holds: text, reasoning, calls, media, and how each is read."""
