"""Scenarios told as a user sees them: kubectl in, answers through the proxy out."""
