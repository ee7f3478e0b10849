"""The chat in a terminal: the screen and its history, the models to talk with, the talk itself, and its commands."""
