"""Between agents and the ledger: poll → open → record → commit, and on what changed assess → notify.

`collector/main.py` reads as that flow. Imports `wire` and `ledger`, never the agent.
"""
