"""asrkit: fine-tune a speech recogniser for your own language, voice or vocabulary, and transcribe with it."""

__version__ = "0.2.0"
