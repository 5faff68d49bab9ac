"""A whole cluster in virtual time, and the controller on top of it."""
