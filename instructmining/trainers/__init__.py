"""Training programs of others: the file each reads, the settings that name it, how it is begun."""
