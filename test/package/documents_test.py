"""Writes the files of documents, and runs their commands, as one reads them.

    documents_test.py --work FOLDER [--replace TEXT=BY]... [--program NAME=PATH]... [--configure OPTION]... [--only-files]
                      DOCUMENT...

Of a document's fenced blocks,

    ```c main.c       is a file: its language, and its name below --work
    ```sh run         are commands: one shell runs those of all documents there, and stops at the first that fails
    ```text output    is what the commands before it print

and the others are only read. Texts are replaced in files and commands; a program is called in place of the one that is named;
each `cmake -S` has the options of --configure behind its own.
"""

import argparse
import difflib
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

BLOCK = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
END = "-- end of the commands"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, required=True)
    for option in ("--replace", "--program"):
        parser.add_argument(option, type=lambda text: text.split("=", 1), action="append", default=[])
    parser.add_argument("--configure", action="append", default=[], metavar="OPTION")
    parser.add_argument("--only-files", action="store_true")
    parser.add_argument("documents", type=pathlib.Path, nargs="+")
    return parser.parse_args()


def blocks(document, replacements):
    """(language, name, text) of each block that has a name."""
    found = BLOCK.findall(document.read_text(encoding="utf-8"))
    if not any(name == "run" for _, name, _ in found):
        sys.exit(f"{document}: nothing to run")
    for language, name, text in found:
        if name != "output":
            for old, new in replacements:
                text = text.replace(old, new)
        yield language, name, text


def preamble(programs, configure):
    functions = [f'{name}() {{ {shlex.quote(path)} "$@"; }}' for name, path in programs]
    options = " ".join(shlex.quote(option) for option in configure)
    functions.append('cmake() { if [ "$1" = -S ]; then command cmake "$@" ' + options + '; else command cmake "$@"; fi; }')
    return "\n".join(functions) + "\n"


def run(work, before, commands):
    """What each of the commands printed."""
    script = before + "".join(f"{text}echo '{END}'\n" for text in commands)
    result = subprocess.run(["bash", "-euxo", "pipefail", "-c", script], cwd=work, stdout=subprocess.PIPE, text=True)
    printed = result.stdout.split(END + "\n")
    sys.stdout.write("".join(printed))
    if result.returncode != 0:
        sys.exit(f"the commands failed: {result.returncode}")
    return printed[:-1]


def main():
    options = arguments()
    shutil.rmtree(options.work, ignore_errors=True)
    options.work.mkdir(parents=True)
    commands, expected = [], []
    for document in options.documents:
        for _, name, text in blocks(document, options.replace):
            if name == "run":
                commands.append(text)
                expected.append(None)
            elif name == "output":
                expected[-1] = text
            else:
                path = options.work / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if options.only_files:
        return
    printed = run(options.work, preamble(options.program, options.configure), commands)
    for command, actual, text in zip(commands, printed, expected):
        if text is not None and actual != text:
            difference = difflib.unified_diff(text.splitlines(), actual.splitlines(), "document", "printed", lineterm="")
            sys.exit(command + "\n".join(difference))


if __name__ == "__main__":
    main()
