"""asrkit: teach a speech recogniser your own language, voice or vocabulary, and talk to the result."""
