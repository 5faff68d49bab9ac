"""Random operations, each sent to the emulator and to a real API server, and what differs."""
