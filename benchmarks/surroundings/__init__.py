"""What else went on: neighbours on the processor, clock, heat, throttling, energy."""
