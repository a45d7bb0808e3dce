"""Why int8 collapses, and what repairs it."""
