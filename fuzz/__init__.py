"""Coverage-guided fuzzing of every reader of what strangers made; see run.py."""
