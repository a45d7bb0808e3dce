"""The machine while it is measured: other programs, clock, heat, throttling, swap, energy."""
