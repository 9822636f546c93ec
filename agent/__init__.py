"""On a node: sample → attribute → count → seal → store → ship. `agent/main.py` reads as that flow.

Imports `wire` and `compute`; never the collector or the ledger, so that a GPU node installs no database.
"""
