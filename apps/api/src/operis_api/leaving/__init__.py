"""Leaving: a person's data handed out, and erased. Stories over accounts, organizations, keys, ledger and audit."""
