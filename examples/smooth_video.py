"""Print a steady label for a video: the mean of ten frames, changed after half a second at the earliest.

python examples/smooth_video.py models/mobilenet_v2_int8.tflite film.mp4
"""

import sys

from edge_classify.edge import AnswerRules, Answers, Classifier, FileSource

model, film = sys.argv[1:]
classifier = Classifier.from_file(model)
answers = Answers(AnswerRules(smooth=10, hold=0.5))
for frame in FileSource([film]):
    if frame.picture is None:
        sys.exit(frame.error)
    prediction = classifier.classify(frame.picture)
    steady = answers.answer(
        classifier.name, classifier.labels, prediction, classifier.threshold, frame.source, frame.time
    )
    print(f"{frame.seconds:.2f} s: {steady.best.label} {steady.best.score:.0%}")
