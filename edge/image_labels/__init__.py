"""Classes of images that are named elsewhere than by folders: in tables, and in the names of the files."""
