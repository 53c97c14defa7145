"""The Transcribe tab."""
