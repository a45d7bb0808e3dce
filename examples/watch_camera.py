"""Print each change of what a camera shows: a number, "auto", a stream's address or a video file.

python examples/watch_camera.py models/mobilenet_v2_int8.tflite 0
"""

import sys

from edge_classify.edge import Classifier, open_source

model, camera = sys.argv[1:]
classifier = Classifier.from_file(model)
last = None
for frame in open_source(camera, report=print):
    if frame.picture is None:
        print(f"Trouble: {frame.error}")
        continue
    prediction = classifier.classify(frame.picture)
    label = prediction.doubt.value if prediction.doubt else prediction.best.label
    if label != last:
        print(f"frame {frame.index}: {label} {prediction.best.score:.0%}", flush=True)
        last = label
