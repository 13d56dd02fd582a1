"""The engine on PyTorch: `Model.fit` in worker processes."""
