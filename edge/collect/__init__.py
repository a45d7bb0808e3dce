"""Keeps the pictures that models are unsure of or do not know, to be labelled and trained on."""
