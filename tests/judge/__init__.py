"""Simulated releases: what the judge and the rules of others make of the same requests."""
