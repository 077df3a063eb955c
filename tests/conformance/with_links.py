#!/usr/bin/env python3
"""Lays a conformance suite out with its symbolic links.

    with_links.py SUITE COPY

A checkout made where links cannot be kept holds, in place of each, a file with the link's target as its text. COPY becomes
the suite with the links back; everything but the cases is linked to, not copied.
"""
import json
import os
import shutil
import sys


def target_of(path, known):
    """What a file would point to as a link, or None if it is a file of its own."""
    if path in known or os.path.islink(path) or os.path.getsize(path) > 255:
        return None
    with open(path, "rb") as file:
        text = file.read()
    if not text or b"\n" in text or b" " in text or b"\0" in text:
        return None
    folder = os.path.dirname(path).encode()
    return text if os.path.lexists(os.path.join(folder, text)) and text != os.path.basename(path).encode() else None


def restore(case):
    with open(os.path.join(case, "case.json"), encoding="utf-8") as file:
        meta = json.load(file).get("meta", {})
    # The suite notes what git cannot hold; of a link there is nothing to note.
    known = {os.path.join(case, path) for path in meta}
    found = [os.path.join(folder, name) for folder, _, names in os.walk(case) for name in names if name != "case.json"]
    links = [(path, target) for path in found if (target := target_of(path, known))]
    for path, target in links:
        os.unlink(path)
        os.symlink(target, path)
    return len(links)


def main(suite, copy):
    for name in os.listdir(suite):
        if name != "cases":
            os.symlink(os.path.join(suite, name), os.path.join(copy, name))
    cases = os.path.join(copy, "cases")
    shutil.copytree(os.path.join(suite, "cases"), cases, symlinks=True, copy_function=shutil.copyfile)
    restored = 0
    for folder, _, names in list(os.walk(cases)):
        os.chmod(folder, 0o755)
        if "case.json" in names:
            restored += restore(folder)
    if restored:
        print(f"conformance: {restored} links of the suite restored")


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2])
