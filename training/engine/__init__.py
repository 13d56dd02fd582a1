"""The engine: trains many members of one model, each as `Model.fit` would train it alone."""
