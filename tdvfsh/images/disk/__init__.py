"""A small disk that boots, made of packages."""
