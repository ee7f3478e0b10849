"""Tasks, probes, the arena, and the statistics that give every number its interval."""
