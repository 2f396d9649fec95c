"""Commands that boot, measure, make and inspect images."""
