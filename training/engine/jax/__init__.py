"""The engine on JAX: members side by side in one vectorised program."""
