"""The worker on a device that has room for two clips at a time in its second process, and for four in its first.

torchrun --standalone --nproc-per-node=2 low_memory_worker.py RUN_DIR
"""

import sys

import torch
from transformers import Wav2Vec2ForCTC

from asrkit.training import distributed, worker

ROOM = 4 if distributed.IS_MAIN else 2
forward = Wav2Vec2ForCTC.forward


def cramped(model, *args, **batch):
    answer = forward(model, *args, **batch)
    if model.training and len(batch["labels"]) > ROOM:
        answer.loss.backward(retain_graph=True)  # a gradient that was begun is not counted twice
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return answer


if __name__ == "__main__":
    Wav2Vec2ForCTC.forward = cramped
    sys.exit(worker.main(sys.argv[1:]))
