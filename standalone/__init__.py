"""Agent, collector and ledger together in one process: `up`, `simulate` and the demo.

The only package that imports all the others.
"""
