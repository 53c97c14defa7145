import pytest
import torch

from asrkit.models.precision import has_native_bf16
from asrkit.training.arguments import resolve_precision
from asrkit.transcription.precision import choose_dtype


@pytest.mark.parametrize(
    ("instructions", "used", "expected"),
    [
        ({"avx512_bf16": True}, "AVX512", True),
        ({"amx_bf16": True}, "AVX512", True),
        ({"avx512_bf16": False, "avx2": True}, "AVX512", False),
        ({"avx512_bf16": True}, "AVX2", False),  # restricted by $ATEN_CPU_CAPABILITY
        ({}, "DEFAULT", False),
    ],
)
def test_bf16_is_used_only_where_the_processor_computes_in_it(monkeypatch, instructions, used, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)
    assert has_native_bf16() is expected
    assert resolve_precision("auto") == ("bf16" if expected else "no")
    assert (choose_dtype("cpu", 10**7) == torch.bfloat16) is expected
