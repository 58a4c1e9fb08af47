"""The window in which agents are watched."""
