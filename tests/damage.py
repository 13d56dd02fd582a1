"""Files that are right, and damage to them: the same for the same seed."""

import io
import json
import zipfile

import numpy as np

ODD_TEXT = (
    "", " ", ",", '"', "'", "\n", "\r", "\0", "\x1b[31m", "\u202e", "é", "-1", "1e999", "nan",
    "inf", "NA", "9" * 30, "0x10", "True", "x" * 3000, "../..", "%s", "{}", "a,b", "=1+1",
)  # fmt: skip
ODD_VALUES = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.5, 1e300, float("nan"), "", "x",
    "\x1b[31m", [], {}, [None], [0], [[1, 2]], {"class_name": "Dense"}, "relu", "float16",
)  # fmt: skip
HEADERS = (
    b"(", b")", b"{", b"}", b"'", b",", b"-", b"9", b"99999999999999999999", b"0", b"1.0", b"True",
    b"None", b"|O", b"<U0", b"<U9", b"V0", b">f8", b"c8", b"M8[s]", b"\0", b"\n", b"#", b"*9",
)  # fmt: skip


def damaged(content, rng):
    """Cut, change, repeat and insert bytes at up to four places."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at, length = rng.integers(0, len(content) + 1), rng.integers(1, 40)
        kind = rng.choice(["cut", "flip", "insert", "zero", "repeat", "ones"])
        piece = content[at : at + length]
        if kind == "cut":
            del content[at:]
        elif kind == "flip" and at < len(content):
            content[at] ^= int(rng.integers(1, 256))
        elif kind == "insert":
            content[at:at] = rng.bytes(length)
        elif kind == "zero":
            content[at : at + length] = bytes(len(piece))
        elif kind == "ones":
            content[at : at + length] = b"\xff" * len(piece)
        else:
            content[at:at] = piece
    return bytes(content)


def with_odd_header(content, rng):
    """Change the text of the header of an array in a `.npz` file, and say how long it is."""
    members = read_members(content)
    name = rng.choice(sorted(members))
    array = members[name]
    length = int.from_bytes(array[8:10], "little")
    header, values = bytearray(array[10 : 10 + length].rstrip()), array[10 + length :]
    for _ in range(rng.integers(1, 4)):
        at = rng.integers(0, len(header) + 1)
        header[at : at + rng.integers(0, 6)] = HEADERS[rng.integers(len(HEADERS))]
    members[name] = array[:8] + len(header).to_bytes(2, "little") + bytes(header) + values
    return write_members(members)


def with_odd_text(content, rng):
    """Replace pieces of a text between commas or line breaks, or the characters themselves."""
    text = content.decode()
    for _ in range(rng.integers(1, 5)):
        odd = ODD_TEXT[rng.integers(len(ODD_TEXT))]
        if rng.random() < 0.5:
            fields = text.split(",")
            fields[rng.integers(len(fields))] = odd
            text = ",".join(fields)
        else:
            at = rng.integers(0, len(text) + 1)
            text = text[:at] + odd + text[at + rng.integers(0, 3) :]
    return text.encode("utf-8", "surrogatepass")


def with_odd_config(content, rng):
    """Change values in the configuration of a `.keras` file, or remove them."""
    members = read_members(content)
    config = json.loads(members["config.json"])
    for _ in range(rng.integers(1, 4)):
        holders = list(_holders(config))
        holder = holders[rng.integers(len(holders))]
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        key = keys[rng.integers(len(keys))]
        if rng.random() < 0.1:
            del holder[key]
        else:
            holder[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    members["config.json"] = json.dumps(config).encode()
    return write_members(members)


def _holders(tree):
    if isinstance(tree, (dict, list)) and tree:
        yield tree
        for each in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(each)


def with_damaged_member(content, rng):
    """Damage one file of an archive that stays intact otherwise."""
    members = read_members(content)
    name = rng.choice(sorted(members))
    members[name] = damaged(members[name], rng)
    return write_members(members)


def read_members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(name, value)
    return content.getvalue()


def one_of(*kinds):
    """Damage of one of several kinds, chosen by the same numbers."""

    def damage(content, rng):
        return kinds[rng.integers(len(kinds))](content, rng)

    return damage


def generator(seed):
    return np.random.default_rng(seed)
