"""vmplug on a pseudo-terminal, and what a person would see there."""
import os
import pty
import re
import select
import signal
import termios
import time

from lab_tool import VMPLUG, expect


def last_line(output):
    """What a terminal of one line shows after that output: the sequences of xterm that libedit uses."""
    line, column = [], 0
    for token in re.findall(r"\x1b\[[0-9;]*[A-Za-z@]|.", output, re.S):
        count = int(re.sub(r"\D", "", token) or 1) if len(token) > 1 else 1
        if token == "\n":
            line, column = [], 0
        elif token == "\r":
            column = 0
        elif token == "\b":
            column -= 1
        elif token[-1:] == "G" and len(token) > 1:
            column = count - 1
        elif token[-1:] == "C" and len(token) > 1:
            column += count
        elif token[-1:] == "D" and len(token) > 1:
            column -= count
        elif token[-1:] in "KJ" and len(token) > 1:
            del line[column:]
        elif token[-1:] == "P" and len(token) > 1:
            del line[column:column + count]
        elif token[-1:] == "@" and len(token) > 1:
            line[column:column] = [" "] * count
        elif len(token) == 1 and token >= " ":
            line += [" "] * (column + 1 - len(line))
            line[column] = token
            column += 1
    return "".join(line).rstrip()


class Terminal:
    """vmplug on a pseudo-terminal."""

    def __init__(self, *arguments, rows=50, ignored=(), **environment):
        self.begin = time.monotonic()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (rows, 80))
            for each in ignored:
                signal.signal(each, signal.SIG_IGN)
            os.execve(VMPLUG, ["vmplug", *arguments], os.environ | environment)
        self.seen = ""
        self.all = ""

    def read(self):
        text = os.read(self.file, 65536).decode(errors="replace")
        self.seen += text
        self.all += text

    def until(self, text, seconds=10):
        """Reads until the text comes; returns what came up to it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.file], [], [], max(0, end - time.monotonic()))
            try:
                expect(ready, f"no {text!r} in {self.seen!r}")
                self.read()
            except OSError:
                expect(False, f"ended without {text!r}: {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.file, text.encode())

    def screen_shows(self, text, seconds=5):
        """Waits until the line of the cursor is `text`, as a terminal would show it: libedit sends what
        differs from before."""
        end = time.monotonic() + seconds
        while (shown := last_line(self.all)) != text:
            ready, _, _ = select.select([self.file], [], [], max(0, end - time.monotonic()))
            expect(ready, f"{shown!r} instead of {text!r}: {self.all!r}")
            self.read()

    def command(self, line, wanted):
        self.type(line + "\r")
        return self.until(wanted)

    def end(self, seconds=10):
        """Returns the exit code."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                ready, _, _ = select.select([self.file], [], [], max(0, deadline - time.monotonic()))
                expect(ready, f"it does not end: {self.seen!r}")
                self.read()
        except OSError:
            pass # the terminal's other end is closed
        os.close(self.file)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass
