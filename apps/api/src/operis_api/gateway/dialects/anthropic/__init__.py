"""Anthropic's dialect: messages, and counting their tokens."""
