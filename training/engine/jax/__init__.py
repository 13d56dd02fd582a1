"""The engine on JAX: members vectorised in one program."""
