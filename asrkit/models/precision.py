"""Whether the processor computes in bfloat16. Does not import torch, so that the page can use it to forecast memory."""

import os
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
CAPABILITY = "ATEN_CPU_CAPABILITY"


def has_native_bf16() -> bool:
    """Whether PyTorch computes in bfloat16 in hardware on this processor (AVX-512 BF16, AMX).

    False where `$ATEN_CPU_CAPABILITY` restricts PyTorch to AVX2: it emulates bfloat16 then, which is far slower than
    float32. False on systems without /proc: PyTorch has no fast bfloat16 on the processors of Macs.
    """
    if os.environ.get(CAPABILITY, "").lower() not in ("", "avx512"):
        return False
    try:
        lines = CPU_INFO.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return "avx512_bf16" in flags or "amx_bf16" in flags
