"""A checkpoint in the formats of other programs: ONNX, onnx-asr, sherpa-onnx, a web page."""
