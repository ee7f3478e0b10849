"""WHEN and WHERE: Prefect's order, isolated workspaces, what a person sees."""

import stages  # noqa: F401  switches reports of usage off before any tool is imported
