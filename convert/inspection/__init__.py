"""What is in anyone's .tflite."""
