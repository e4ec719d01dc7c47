"""What is read off texts without a model: columns, where they are stored, which texts are alike."""
