"""Commands of `reader-peripheral` that need more than a few lines."""
