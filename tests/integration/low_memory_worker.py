"""The worker with memory for two clips at a time in its second process, and for four in its first.

torchrun --standalone --nproc-per-node=2 low_memory_worker.py RUN_DIR
"""

import functools
import sys

from asrkit import startup
from asrkit.training import distributed, worker

with startup.fast_imports():
    import torch
    from transformers import Wav2Vec2ForCTC

MAX_CLIPS = 4 if distributed.IS_MAIN else 2
forward = Wav2Vec2ForCTC.forward


@functools.wraps(forward)
def limited_forward(model, *args, **batch):
    output = forward(model, *args, **batch)
    if model.training and len(batch["labels"]) > MAX_CLIPS:
        output.loss.backward(retain_graph=True)  # leaves a partial gradient, which must not be counted twice
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return output


if __name__ == "__main__":
    Wav2Vec2ForCTC.forward = limited_forward
    sys.exit(worker.main(sys.argv[1:]))
