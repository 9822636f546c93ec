"""From the journal to people: every change of an alert becomes a message, and goes on trying until it was accepted."""
