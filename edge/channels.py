"""The order of the colours in a model's input: most models take RGB, those trained with cv2.imread BGR."""

RGB, BGR = "RGB", "BGR"
ORDERS = (RGB, BGR)
