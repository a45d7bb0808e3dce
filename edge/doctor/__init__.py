"""edge-classify --doctor: what here would stop a model from running well, and what to do about it."""
