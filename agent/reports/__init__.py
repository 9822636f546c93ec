"""What training loops report of themselves: the architecture basis, by plain OpenTelemetry metrics.

`receiver` listens on loopback, `endpoint` answers one request, `decode` turns bytes into a message, `points` reads what
is ours in it, and `book` keeps it: exact cumulative counters, whose growth the agent takes and seals.
"""
