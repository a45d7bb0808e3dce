"""A trained Keras model and its card become .tflite variants, each scored for what it lost."""
