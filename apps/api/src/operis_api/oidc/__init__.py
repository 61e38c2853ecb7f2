"""Signing in with identity providers that speak OpenID Connect. A story over accounts and signing in."""
