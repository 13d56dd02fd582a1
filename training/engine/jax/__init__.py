"""The engine on JAX: members vectorized in one program."""
