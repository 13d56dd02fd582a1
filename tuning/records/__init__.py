"""The training runs of a search: kept and shown as they finish, and as tables."""
