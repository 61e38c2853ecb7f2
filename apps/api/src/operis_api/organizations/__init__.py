"""Organizations: who belongs to one and may do what there. Stories over keys, limits, ledger and audit."""
