"""Keeps the pictures that models are unsure of, for people to label and to train on."""
