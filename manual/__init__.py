"""The manual: its pages are in docs/; this runs their commands and builds their site. Not installed."""
