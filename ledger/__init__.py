"""The account: evidence, what is derived from it, and the questions that people ask.

`ledger.py` is the way in. Two chains are the authority, sealed batches and the signed journal; every other table is
derived from them. Imports `wire` and `compute`; never the agent or the collector.
"""
