"""Compiled kernels for CPUs behind two functions: `attention.attend` for training, `decoding.decode` for generation."""
