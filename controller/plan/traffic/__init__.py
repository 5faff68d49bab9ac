"""One pure module per data plane."""
