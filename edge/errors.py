"""Every error that a user can cause or remedy.

    EdgeClassifyError
      ImageError            a file or frame that cannot be read as a picture
      SourceError           a path, folder, camera or stream that yields no frames
      ModelFileError        a file that is not a usable classifier
        CardError           the contract inside it is missing, broken or contradicts the model
        LabelError          labels that cannot be read or don't fit the output
        SignatureError      it is not signed as was asked for, or its signature does not hold
      DatasetError          a folder of labelled images that cannot be used as one
      OptionError           an option whose value cannot work, found after parsing
      WeightsError          initial weights that cannot be downloaded or read
      ConversionError       a Keras model that cannot become a .tflite file
      BenchmarkError        a model that could not be measured
      OutputExistsError     a file or folder of the user's that would be overwritten
      OutputKeptError       a result that lies in another file than the one that was asked for
      OutputLostError       a result that could not be written anywhere
      MissingPackageError   an optional package is not installed
        NoPackageError      and there is none for this Python or this machine
      RuntimeLoadError      a TFLite runtime is installed and cannot be loaded
      DelegateError         an external delegate cannot be loaded, or cannot be applied to the model

The text of each is one or two sentences: what is wrong, with which file or option, which value was received,
and what to do about it. The commands print it and exit with status 1.
"""

from __future__ import annotations

from pathlib import Path


class EdgeClassifyError(Exception):
    """Base of all errors that the input or the machine causes, and not this program."""


class ImageError(EdgeClassifyError):
    """A file or frame cannot be read as a picture."""


class SourceError(EdgeClassifyError):
    """A path, folder, camera or stream yields no frames."""


class ModelFileError(EdgeClassifyError):
    """A file is not a usable TFLite image classifier."""


class CardError(ModelFileError):
    """A model card is missing, malformed, too new, or contradicts its model."""


class LabelError(ModelFileError):
    """A label file cannot be read, or holds another number of labels than the model has outputs."""


class SignatureError(ModelFileError):
    """A model file is not signed by a key that is trusted, or not as it is now, or in too old a version."""


class DatasetError(EdgeClassifyError):
    """A folder cannot be used as a set of labelled images."""


class OptionError(EdgeClassifyError):
    """An option's value cannot work with this data or this model."""


class WeightsError(EdgeClassifyError):
    """Initial weights cannot be downloaded or read."""


class ConversionError(EdgeClassifyError):
    """A Keras model cannot be converted, or the result breaks the contract."""


class BenchmarkError(EdgeClassifyError):
    """A model could not be measured."""


class OutputExistsError(EdgeClassifyError):
    """The output exists, and replacing it was not asked for with --force."""


class OutputKeptError(EdgeClassifyError):
    """A result could not be written where it was asked for, and lies in another file, which is named."""


class OutputLostError(EdgeClassifyError):
    """A result could not be written, neither where it was asked for nor anywhere else."""


class MissingPackageError(EdgeClassifyError):
    """An optional package is needed and not installed."""

    def __init__(self, package: str, purpose: str, install: str) -> None:
        """Say that `purpose` needs `package`, and that the command `install` brings it (edge/extras.py)."""
        super().__init__(f"{purpose} needs {package}, which is not installed. Run: {install}")


class NoPackageError(MissingPackageError):
    """An optional package is needed, and there is none for this Python or this machine."""

    def __init__(self, package: str, purpose: str, reason: str) -> None:
        """Say that `purpose` needs `package`, and why there is none; `reason` ends with the remedy."""
        EdgeClassifyError.__init__(self, f"{purpose} needs {package}, and {reason}")


class RuntimeLoadError(EdgeClassifyError):
    """A TFLite runtime is installed, and cannot be loaded."""


class DelegateError(EdgeClassifyError):
    """An external delegate cannot be loaded, or cannot be applied to the model."""


def error_text(error: BaseException) -> str:
    """Return an error's text without line breaks, or the name of its type where it has no text."""
    return " ".join(str(error).split()) or type(error).__name__


def model_name(model: Path | bytes) -> str:
    """Return what messages call a model that nobody named: its path, or "the model" for bytes."""
    return "the model" if isinstance(model, bytes) else str(model)
