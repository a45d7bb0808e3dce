"""Where the time goes: operators, what runs them, and what the machine could do."""
