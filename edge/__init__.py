"""The runner: everything that happens on the device, and nothing that only training needs.

Importing this package loads no TensorFlow, Keras, matplotlib, scikit-learn or OpenCV.

    from edge_classify.edge import Classifier
    print(Classifier.from_file("model.tflite").classify("photo.jpg").best)
"""

from .card import ModelCard
from .classifier import Classifier, Prediction, Score
from .errors import EdgeClassifyError
from .self_check import SelfCheck, self_check

__all__ = ["Classifier", "EdgeClassifyError", "ModelCard", "Prediction", "Score", "SelfCheck", "self_check"]
