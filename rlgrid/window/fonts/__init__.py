"""The typefaces of the window, with their licences."""
