"""Sources that yield batches: read into memory, or streamed."""
