"""What travels from an agent to a ledger: batches of readings, sealed, chained and signed.

`batch` says what a batch holds, `seal` turns one into signed bytes, `opening` turns bytes back into one or says why
not; `encoding` and `decoding` do the readings' part of each. `plausible` judges what is signed but cannot be true.
Imports nothing else of ours.
"""
