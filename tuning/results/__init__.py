"""What a search found: the answer, the result, its plot and its files."""
