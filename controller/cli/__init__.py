"""The hand: the kubectl plugin."""
