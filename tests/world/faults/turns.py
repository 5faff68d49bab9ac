"""How many processes run at once, whichever stories they tell: one byte in a pipe for each."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Turns to be taken by whoever wants to begin a process; a fork knows the same ones."""

    def __init__(self, jobs: int) -> None:
        self._left, self._back = os.pipe()
        os.set_blocking(self._left, False)
        os.write(self._back, b"." * jobs)

    def take(self) -> bool:
        """Take a turn if there is one now."""
        try:
            return bool(os.read(self._left, 1))
        except BlockingIOError:
            return False

    def wait(self) -> None:
        """Wait until there may be one; somebody else may be quicker."""
        select.select([self._left], [], [])

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a turn."""
        while not self.take():
            self.wait()
        try:
            yield
        finally:
            self.give()

    def give(self) -> None:
        """Give a turn back."""
        os.write(self._back, b".")

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._left)
        os.close(self._back)
