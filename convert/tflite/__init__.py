"""A .tflite as a thing that can be read, changed, quantized and sealed."""
