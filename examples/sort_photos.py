"""Copy a folder's photos into one folder per class, others into "unsure" and "unknown".

python examples/sort_photos.py models/mobilenet_v2_int8.tflite photos sorted
"""

import shutil
import sys
from pathlib import Path

from edge_classify.edge import Classifier, FileSource, ImageError

model, photos, target = sys.argv[1:]
classifier = Classifier.from_file(model)
for frame in FileSource([photos], recursive=True):
    try:
        prediction = classifier.classify(frame.source)
    except ImageError as error:
        print(f"Left out: {error}")
        continue
    folder = Path(target, prediction.doubt.value if prediction.doubt else prediction.best.label)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(frame.source, folder)
