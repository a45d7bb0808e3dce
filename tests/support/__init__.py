"""Data, models, servers and commands that several tests share."""
