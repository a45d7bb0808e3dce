"""Finds the layers that 8 bits spoil, and the change that repairs an int8 file."""
