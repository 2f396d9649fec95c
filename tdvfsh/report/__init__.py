"""What people and programs read: text, JSON, pages. Reads machine and journal, never writes them."""
