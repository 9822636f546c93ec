"""What an agent can measure: one module per backend, behind the small interface in `interface`."""
