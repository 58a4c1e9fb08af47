"""Lessons of the window, one TOML file each: `rlgrid.window.lessons` reads them."""
