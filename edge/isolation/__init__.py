"""The interpreter in a process of its own, for models that nobody vouches for."""
