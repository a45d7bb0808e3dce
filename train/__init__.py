"""Trains Keras image classifiers on a folder of images, and writes their cards and a report."""
