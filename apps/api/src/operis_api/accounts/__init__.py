"""People: signing up, signing in and out, and who somebody is. Stories over keys, ledger and audit."""
