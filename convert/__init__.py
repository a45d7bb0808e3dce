"""Converts Keras models, and other people's models, to .tflite variants, and measures how much each lost."""
