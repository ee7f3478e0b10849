"""Which precision matrix products are fastest in on a device."""

import torch


def fast_bfloat16(device: torch.device) -> bool:
    """True where products in bfloat16 are faster than in float32: GPUs, and processors with instructions for them."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()


def fastest_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if fast_bfloat16(device) else torch.float32
