"""Labelled images and what models answer to them: for training, conversion and edge-benchmark."""
