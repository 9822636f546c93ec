"""From the outbox to a broker: one module per transport, behind the small interface in `interface`."""
