"""Proving the ledger: blocks that seal its rows, and queries that find what breaks its rules. See docs/adr/0017."""
