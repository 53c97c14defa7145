"""The section "Use it elsewhere" of the Train and the Transcribe tab: export and publish a model."""
