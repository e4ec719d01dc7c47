"""What a new user asks first: is this machine ready, and which settings fit these data."""
