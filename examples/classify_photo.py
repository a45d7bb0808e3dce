"""Print the best classes for a photo.

python examples/classify_photo.py models/mobilenet_v2_int8.tflite photo.jpg
"""

import sys

from edge_classify.edge import Classifier

model, photo = sys.argv[1:]
prediction = Classifier.from_file(model).classify(photo)
if prediction.unknown:
    print("None of the classes. The nearest:")
elif prediction.unsure:
    print("Not sure enough. The best guesses:")
for score in prediction.top:
    print(f"{score.label}: {score.score:.1%}")
