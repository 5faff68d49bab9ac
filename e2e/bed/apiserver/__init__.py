"""A Kubernetes API server for tests: the objects and rules in memory, the HTTP face over them."""
