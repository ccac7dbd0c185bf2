"""A table of cases: name, result."""

import signal

WIDTH = 56
SECONDS = 60


class Table:
    def __init__(self):
        self.failed = False

    def case(self, name):
        """Runs the function that it decorates, for so many seconds at most, and prints a line."""

        def late(*_):
            raise TimeoutError(f"still not done after {SECONDS} s")

        def run(function):
            signal.signal(signal.SIGALRM, late)
            signal.alarm(SECONDS)
            result = "ok"
            try:
                function()
            except Exception as error:  # any failure is a line of the table
                self.failed = True
                result = f"FAIL: {type(error).__name__}: {error}".replace("\n", " ")
            finally:
                signal.alarm(0)
            print(f"{name:{WIDTH}} {result}", flush=True)
            return function

        return run


def raises(*wanted):
    """`with raises(Error):` fails unless the block ends with such an error, or one that has it as its first argument."""

    class Raises:
        def __enter__(self):
            return self

        def __exit__(self, kind, error, _):
            assert error is not None, f"wanted {wanted}, got no error"
            self.error = error
            return isinstance(error, wanted)

    return Raises()
