"""Signing in and out: sessions and the tokens that keep them alive."""
