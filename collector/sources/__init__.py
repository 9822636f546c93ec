"""Where batches come from: one module per source, behind the small interface in `interface`."""
