"""asrkit: fine-tune a speech recogniser for your own language, voice or vocabulary, and transcribe with it."""

import os

# Else onnxruntime writes an id of this machine into the user's cache and sends events to its makers.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.2.0"
