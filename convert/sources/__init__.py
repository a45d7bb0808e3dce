"""The models that can be converted: those of a run of edge-train, and model files of other people."""
