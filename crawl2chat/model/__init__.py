"""The transformer, its optimizers, generation with a KV cache, and its folder on disk."""
