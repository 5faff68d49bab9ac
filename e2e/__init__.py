"""Scenarios told as a user sees them, and the bed they run on."""
