"""Boot flows: sequences of boot-service calls and nothing else, so that every accept option acts on them by itself."""
