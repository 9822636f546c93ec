"""What produces every figure we publish: `python -m bench` runs all, `python -m bench NAME …` some."""
