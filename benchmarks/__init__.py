"""Paired measurements against peers, each one command."""
