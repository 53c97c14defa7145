import pytest
import torch

from asrkit.models import precision
from asrkit.models.precision import has_native_bf16
from asrkit.training.arguments import resolve_precision
from asrkit.transcription.precision import choose_dtype


@pytest.mark.parametrize(
    ("flags", "capability", "expected"),
    [
        ("avx2 avx512f avx512_bf16", None, True),
        ("avx2 avx512f amx_bf16", None, True),
        ("avx2 avx512f avx512_bf16", "avx512", True),
        ("avx2 avx512f avx512_bf16", "avx2", False),
        ("avx2 avx512f", None, False),
        ("", None, False),
        (None, None, False),  # no /proc
    ],
)
def test_bf16_is_used_only_where_the_processor_computes_in_it(monkeypatch, tmp_path, flags, capability, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(precision, "CPU_INFO", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"model name\t: CPU\nflags\t\t: fpu {flags}\n\nflags\t\t: fpu\n")
    monkeypatch.delenv(precision.CAPABILITY, raising=False)
    if capability:
        monkeypatch.setenv(precision.CAPABILITY, capability)
    assert has_native_bf16() is expected
    assert resolve_precision("auto") == ("bf16" if expected else "no")
    assert (choose_dtype("cpu", 10**7) == torch.bfloat16) is expected


def test_answer_is_that_of_pytorch():
    instructions = torch.cpu.get_capabilities()
    has_instructions = bool(instructions.get("avx512_bf16") or instructions.get("amx_bf16"))
    assert has_native_bf16() is (has_instructions and torch.backends.cpu.get_cpu_capability() == "AVX512")
