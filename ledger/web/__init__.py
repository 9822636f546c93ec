"""One page on the ledger: where every run and model stands against every line, by eye, by JSON, and live."""
