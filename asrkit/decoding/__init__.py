"""Decoding: CTC arithmetic, greedy, lexicon and beam search, language models, hot words, alignment, transcripts."""
