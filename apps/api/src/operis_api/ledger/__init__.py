"""Wallets, grants, holds and the double entry ledger: the only code that moves money. See README.md."""
