"""Conversations: their format and masks, the readers of users' data sets, tools, and the loop that talks."""
