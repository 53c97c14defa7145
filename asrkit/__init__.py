"""asrkit: fine-tune a speech recognizer for your own language, voice or vocabulary, and talk to the result."""

__version__ = "0.2.0"
