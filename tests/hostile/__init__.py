"""Input that means harm, given to the whole program: it refuses, or goes on, and says so in a line."""
