"""Keeps the pictures that models are unsure of, to be labelled and trained on."""
