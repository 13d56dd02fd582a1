"""Defaults of how a model is trained. The command line shows them, so nothing is imported here."""

EPOCHS = 20
BATCH_SIZE = 32
