"""Runs a command in a pseudo-terminal and draws what is then on it, as NAME.svg and NAME-dark.svg.

terminal.py [--at TEXT --then NAME] [--rows N] NAME COMMAND...
--at, --then: another picture, of what is there half a second after TEXT was first shown.
--rows: the first N rows alone.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import select
import shlex
import struct
import termios
import time

import pyte

COLUMNS, ROWS = 108, 120
WIDE, HIGH, PAD = 8.4, 19, 16
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"

# What a terminal's names of colours are drawn in; all have the contrast of WCAG AA on `back`.
LIGHT = {
    "back": "#ffffff", "edge": "#d0d7de", "default": "#1f2328", "black": "#59636e", "red": "#cf222e",
    "green": "#116329", "brown": "#7d4e00", "blue": "#0550ae", "magenta": "#8250df", "cyan": "#1b6f78",
    "white": "#1f2328",
}
DARK = {
    "back": "#12161d", "edge": "#2b323b", "default": "#d5dbe3", "black": "#8b96a3", "red": "#ff7b72",
    "green": "#56d364", "brown": "#e3b341", "blue": "#79c0ff", "magenta": "#d2a8ff", "cyan": "#56d4dd",
    "white": "#f0f6fc",
}


class Terminal(pyte.Screen):
    """A screen that remembers what is faint, which pyte does not tell: it is drawn as `black`."""

    def select_graphic_rendition(self, *attrs, **more):
        super().select_graphic_rendition(*(30 if attr == 2 else attr for attr in attrs), **more)


def record(command, until):
    """Runs the command; gives the screen at its end, and what it was after `until` was shown."""
    screen = Terminal(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    stream.feed(f"\033[32m$\033[0m \033[1m{shlex.join(command)}\033[0m\r\n".encode())
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], command)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    stop, frozen = None, None
    while True:
        ready, _, _ = select.select([master], [], [], 0.05)
        if ready:
            try:
                read = os.read(master, 65536)
            except OSError:
                break
            if not read:
                break
            stream.feed(read)
        # Not the row of the command itself.
        if until and stop is None and any(until in line for line in screen.display[1:]):
            stop = time.monotonic() + 0.5
        if stop and frozen is None and time.monotonic() > stop:
            frozen = rows(screen)
    os.waitpid(pid, 0)
    if until and frozen is None:
        raise SystemExit(f"{until!r} was not shown")
    return rows(screen), frozen


def rows(screen):
    """The rows that have something, each as runs of characters of one look: column, look, text."""
    lines = []
    for y in range(ROWS):
        runs = []
        for x in range(COLUMNS):
            char = screen.buffer[y][x]
            look = (char.fg, char.bold)
            if runs and runs[-1][1] == look:
                runs[-1][2] += char.data
            else:
                runs.append([x, look, char.data])
        lines.append(runs)
    while lines and not "".join(run[2] for run in lines[-1]).strip():
        lines.pop()
    return lines


def colour(name, palette):
    if re.fullmatch("[0-9a-f]{6}", name):
        return "#" + name
    return palette.get(name.removeprefix("bright"), palette["default"])


def svg(lines, palette):
    width, height = round(COLUMNS * WIDE + 2 * PAD), len(lines) * HIGH + 2 * PAD
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-size="14" font-family="{FONTS}">',
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" '
        f'fill="{palette["back"]}" stroke="{palette["edge"]}"/>',
    ]
    for y, runs in enumerate(lines):
        for x, (fg, bold), text in runs:
            # Each word at its columns, whatever font there is.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                weight = ' font-weight="bold"' if bold else ""
                out.append(
                    f'<text x="{PAD + (x + word.start()) * WIDE:.1f}" y="{PAD + y * HIGH + 14}" '
                    f'textLength="{len(word.group()) * WIDE:.1f}" lengthAdjust="spacingAndGlyphs" '
                    f'fill="{colour(fg, palette)}"{weight}>{html.escape(word.group(), quote=False)}</text>'
                )
    return "\n".join([*out, "</svg>", ""])


def write(name, lines):
    for suffix, palette in (("", LIGHT), ("-dark", DARK)):
        with open(f"{name}{suffix}.svg", "w", encoding="utf-8") as file:
            file.write(svg(lines, palette))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at")
    parser.add_argument("--then")
    parser.add_argument("--rows", type=int)
    parser.add_argument("name")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    last, frozen = record(args.command, args.at)
    write(args.name, last[: args.rows])
    if frozen:
        write(args.then, frozen)


main()
