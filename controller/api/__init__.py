"""The words: every string, shape and sentence that crosses the border of this program."""
