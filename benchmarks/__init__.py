"""Latency, memory and accuracy of model files, and the labelled images to measure them on.

Stands on `edge_classify.edge` alone, so that everything here runs on the device with the base install.
"""
