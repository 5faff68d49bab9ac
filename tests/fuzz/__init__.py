"""Writes anything into annotations, in any order, and looks at what comes of it."""
