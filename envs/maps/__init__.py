"""The map files of the registered worlds."""
