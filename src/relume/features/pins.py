"""The sha256 of every network's converted tensors (`tensors.digest`), so that all have the same bytes wherever they came from.

What has no line here could not be had where this was written: its source file is held to the hash prefix that its
owner put into the file's name, and the first conversion records the tensors' sha256 in `model.json`. On a machine with
internet `python -m relume.features.pin <folder of weights>` prints the lines to add.
"""

PINS: dict[str, str] = {
}
