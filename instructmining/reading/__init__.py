"""From names of files, folders and tables to raw records. Not what the records mean."""
