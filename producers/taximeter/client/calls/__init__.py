"""Every route of the API as a function from words to a `Call`. Pure. Their docstrings are those of the methods."""
