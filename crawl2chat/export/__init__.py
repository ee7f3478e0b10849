"""Formats that other programs read a model from."""
