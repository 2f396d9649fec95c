"""Output for users and programs: text, JSON, pages. Reads machine and journal, never writes them."""
