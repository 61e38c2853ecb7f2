"""Proving the books: the ledger's rows, the chain over them, and prices, checked together while calls go on."""
