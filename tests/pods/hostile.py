"""Printed by a run in tests: what no terminal should ever be told by a log, and what a log may hold all the same."""

import os
import re
import sys
import time
from unicodedata import category

#: Titles, cleared screens, other character sets, a question the terminal would answer as if it were typed.
STEERING = (
    b"\033]0;owned\007\033[2J\033[H\033[6n\033c\033(0\033[?1049h\033[?25l\033P+q544e\033\\\033_apc\033\\"
    b"\302\2332J\302\235 52;c;b3duZWQ=\302\234\233 1;1H\010\010\016\177\007\342\200\256"
)


#: And the clearing of the line that says who is waited for, where a machine is slow enough for one.
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m|\r\x1b\[K")


def stray(data: bytes) -> bytes:
    """What in `data` could steer a terminal, colours left out."""
    text = _COLOUR.sub(b"", data).decode()
    return "".join(c for c in text if (category(c) == "Cc" and c not in "\n\r\t") or c == "\u202e").encode()


def main(what: str) -> None:
    out = sys.stdout.buffer
    if what == "lines":
        out.write(b"".join(b"line %d of many\n" % number for number in range(1, 10_001)))
    elif what == "binary":
        out.write(bytes(range(256)) * 64 + os.urandom(300_000) + b"\n")
    elif what == "long":
        out.write(b"<" + b"x" * 1_000_000 + b">\n")
    elif what == "tqdm":
        for step in range(101):
            out.write(b"\r%3d%%|%s| %d/100 [00:01<00:00]" % (step, b"#" * (step // 10), step))
            out.flush()
            time.sleep(0.002)
        out.write(b"\n")
    elif what == "steering":
        out.write(b"before\n" + STEERING + b"after \033[31mred\033[0m\n")
        out.write(b"ValueError: \033]0;owned\007\302\2332J\033[2J no\n")
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
    sys.exit(3 if sys.argv[1] == "steering" else 0)
