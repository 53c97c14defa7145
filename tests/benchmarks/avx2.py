"""Make a copy of onnxruntime that takes this processor for one without AVX-512 and AVX-VNNI, to measure such machines.

    python -m tests.benchmarks.avx2 FOLDER
    PYTHONPATH=FOLDER ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 python -m tests.benchmarks.transcription

The variables restrict PyTorch alone: onnxruntime's kernels (MLAS) are chosen by what the processor says, and no setting
changes that. MLAS uses AVX-512 only if the system saves its registers (XCR0): the copy reads that they are not. Its
branch for AVX-VNNI is never taken. For x86-64 on Linux; tried with onnxruntime 1.32.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

XGETBV = bytes.fromhex("0f01d0 89c0 48c1e220 4809c2")
"""xgetbv; mov eax, eax; shl rdx, 32; or rdx, rax"""
XGETBV_WITHOUT_AVX512 = bytes.fromhex("0f01d0 83e01f 4889c2 0f1f00")
"""xgetbv; and eax, 0x1f; mov rdx, rax; nop"""
TEST_VNNI, SKIP_VNNI = bytes.fromhex("0fa2 a810 74"), bytes.fromhex("0fa2 a810 eb")
"""cpuid; test al, 0x10; je: always jumped in the copy."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    target = parser.parse_args().folder / "onnxruntime"
    import onnxruntime

    shutil.copytree(Path(onnxruntime.__file__).parent, target, ignore=shutil.ignore_patterns("__pycache__"))
    (library,) = target.glob("capi/onnxruntime_pybind11_state*.so")
    code = library.read_bytes()
    if XGETBV not in code or TEST_VNNI not in code:
        raise SystemExit(
            f"onnxruntime {onnxruntime.__version__} asks the processor in another way; change the patterns."
        )
    library.write_bytes(code.replace(XGETBV, XGETBV_WITHOUT_AVX512).replace(TEST_VNNI, SKIP_VNNI))
    print(f"{target} is restricted to AVX2.")


if __name__ == "__main__":
    main()
