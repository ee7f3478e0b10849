"""The transformer, its optimizers, generation with a KV cache, and its folder on disk."""

import os

# OpenMP's threads spin while they wait for each other. Where another process wants the same cores that costs ten times the
# work (measured: 427 against 4,003 tokens/s generated). Sleeping instead must be asked for before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
