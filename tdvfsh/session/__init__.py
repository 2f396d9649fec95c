"""Sessions: recorded as readable transcripts, run again and compared, and shown as casts."""
