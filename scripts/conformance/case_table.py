"""A table of cases: name, result, time."""

import time


class Table:
    def __init__(self):
        self.failed = False

    def case(self, name):
        """Runs the function that it decorates and prints a line; what the function returns is a remark."""

        def run(function):
            began = time.monotonic()
            try:
                remark = function()
                result = "ok" if remark is None else f"ok: {remark}"
            except Exception as error:  # any failure is a line of the table
                self.failed = True
                result = f"FAIL: {type(error).__name__}: {error}"
            print(f"{name:44} {time.monotonic() - began:6.2f} s  {result}", flush=True)
            return function

        return run
