"""How right the answers are, and which of them differ between models."""
