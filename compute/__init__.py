"""What a floating-point operation is, and how many a device or a training step can do.

Imports nothing else of ours. Data lies in `compute/data`, versioned, with a source per row.
"""
