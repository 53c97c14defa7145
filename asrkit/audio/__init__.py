"""Audio: a file, bytes or the microphone -> mono float32 samples at 16 kHz."""
