"""The doors: everything that touches a socket, a file or a clock."""
