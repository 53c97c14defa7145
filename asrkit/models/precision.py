"""Whether the processor computes in bfloat16. torch is imported on the first call."""


def has_native_bf16() -> bool:
    """Whether PyTorch computes in bfloat16 in hardware on this processor (AVX-512 BF16, AMX).

    False where `$ATEN_CPU_CAPABILITY` restricts PyTorch to AVX2: it emulates bfloat16 then, which is far slower than
    float32.
    """
    import torch

    capabilities = torch.cpu.get_capabilities()
    has_instructions = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return bool(has_instructions) and torch.backends.cpu.get_cpu_capability() == "AVX512"
