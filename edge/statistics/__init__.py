"""Tests and intervals from their published definitions, with nothing but numpy and the standard library."""
