"""A simulated fleet: any size, any failure, exact to the last cycle.

`scenario` says what happens, `timeline` when, `hardware` what each GPU's counters then read, `backend` shows one node
of it to an agent, and `truth` states, by another way, what the ledger must arrive at.
"""
