"""Write files into a C table (assets.h): embed.py OUTPUT FILE... Only the standard library is used."""

import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".woff2": "font/woff2",
}


def rows(number, data):
    yield f"static const unsigned char data_{number}[] = {{"
    for at in range(0, len(data), 24):
        yield "    " + ", ".join(str(byte) for byte in data[at : at + 24]) + ","
    yield "};"


def main(output, *files):
    lines = ['#include "exporter/assets.h"', ""]
    table = []
    for number, name in enumerate(files):
        path = pathlib.Path(name)
        data = path.read_bytes()
        if not data or path.suffix not in TYPES:
            sys.exit(f"embed.py: {name} is empty, or no type is known for its ending")
        lines += rows(number, data)
        etag = hashlib.sha256(data).hexdigest()[:32]
        table.append(f'    {{ "{path.name}", "{TYPES[path.suffix]}", "{etag}", data_{number}, sizeof(data_{number}) }},')
    lines += ["", "const struct asset assets[] = {", *table, "};", "const size_t asset_count = sizeof(assets) / sizeof(assets[0]);"]
    pathlib.Path(output).write_text("\n".join(lines) + "\n")


main(*sys.argv[1:])
