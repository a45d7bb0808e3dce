"""Reads, changes and writes .tflite files with flatbuffers and numpy alone."""
