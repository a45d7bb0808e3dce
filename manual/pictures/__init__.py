"""The pictures of the manual: a script a page, which computes them with the program's own code."""
