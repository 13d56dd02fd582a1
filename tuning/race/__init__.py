"""The race of the finalists against no dropout on fresh seeds, and how they are chosen."""
