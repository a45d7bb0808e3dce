"""The agent, which runs on the other machine: its source is sent there before anything is installed.

So it needs nothing but Python 3.10, and imports nothing from outside this folder.
"""
