"""A search that can be inspected before it is run, and its run."""
