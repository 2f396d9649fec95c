"""Sessions: recorded as transcripts that people read, run again and compared, and shown as casts."""
