"""The loop between a source and the outputs: who classifies which frame, in which thread."""
