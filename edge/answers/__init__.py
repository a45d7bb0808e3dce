"""From what a model says about one frame to an answer that people can use."""
