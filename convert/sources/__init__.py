"""What can be converted: runs of edge-train, and model files of other people."""
