"""Tests of the doors, against servers that follow a script and clocks that tests wind."""
