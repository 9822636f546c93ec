"""Where messages about alerts go, one module per way."""
