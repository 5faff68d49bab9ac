"""Tests of what a user applies."""
