"""Shows the contents of any .tflite."""
