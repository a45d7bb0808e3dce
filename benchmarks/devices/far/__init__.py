"""What runs on the other machine: sent there as text, before anything is installed.

So it needs Python 3.10 and nothing else, and imports nothing from outside this folder.
"""
