"""Claims about dropout, each in a form that is fixed before it is tested, and what came out."""
