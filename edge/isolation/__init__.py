"""The interpreter in a child process, for models that are not trusted."""
