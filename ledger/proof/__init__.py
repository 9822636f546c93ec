"""That the ledger is what it was: checkpoints over all evidence, verification, and rebuilding what is derived.

`verify.py` is the main flow.
"""
