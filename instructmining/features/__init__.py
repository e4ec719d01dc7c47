"""What is read off a text without a model: native Spark columns, and where they are stored."""
