"""Commands on the session: moments, journal, records, reports, assertions."""
