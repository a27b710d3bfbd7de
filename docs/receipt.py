#!/usr/bin/env python3
"""Check a receipt of a PLANET currency, offline: python3 receipt.py FILE VKEY

FILE is a .tlog-proof file, VKEY the public key of the currency's ledger. Prints the entry and exits with 0, or says why it
refuses and exits with 1. Needs Python 3.8 and the package cryptography (Debian: python3-cryptography). The format is in receipts.md.
"""
import base64
import binascii
import hashlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_SIZE = 1 << 60
KINDS = "pay post void expire refund open limits flags rebind abort note rules currency epoch".split()
LEAF = re.compile(rb"planet\.ledger/v1\ncurrency ([!-~]{1,2048})\nseq (0|[1-9][0-9]{0,18})\nat (0|[1-9][0-9]{0,18})\n"
                  rb"kind ([a-z]{1,16})\nid [0-9a-f]{32}\nbody ([0-9a-f]{64})\n")
ORIGIN = re.compile(r"([!-*,-.0-~]+/currencies/[!-*,-.0-~]+)(?:/e([1-9][0-9]{0,9}))?")


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def sha256(data):
    return hashlib.sha256(data).digest()


def unbase64(text, what):
    """Standard base64 in the one form that an encoder gives."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(what + " is not in base64")
    need(base64.b64encode(data) == text, what + " is not in canonical base64")
    return data


def decimal(text, limit, what):
    need(re.fullmatch(rb"0|[1-9][0-9]{0,18}", text) and int(text) < limit, what + " is no number in range")
    return int(text)


def read_vkey(text):
    """<name>+<id in hex>+<base64 of 0x01 and the Ed25519 key>, of C2SP signed-note."""
    parts = text.encode().split(b"+", 2)
    need(len(parts) == 3 and re.fullmatch(rb"[!-~]{1,255}", parts[0]), "the vkey is not <name>+<id>+<base64>")
    key = unbase64(parts[2], "the vkey")
    need(len(key) == 33 and key[0] == 1, "the vkey is no Ed25519 key of type 0x01")
    need(parts[1] == sha256(parts[0] + b"\n" + key)[:4].hex().encode(), "the vkey's id is not that of its name and key")
    return parts[0], key


def split_receipt(data):
    """The leaf, salt, opening, index, path and signed checkpoint, of C2SP tlog-proof."""
    need(len(data) <= 512 << 10, "the file is too large")
    head, empty, checkpoint = data.partition(b"\n\n")
    lines = head.split(b"\n")
    need(lines[0] == b"c2sp.org/tlog-proof@v1" and empty, "not a c2sp.org/tlog-proof@v1 file")
    need(len(lines) > 2 and lines[1].startswith(b"extra "), "there is no extra line with the entry")
    need(lines[2].startswith(b"index "), "there is no index line")
    index = decimal(lines[2][6:], MAX_SIZE, "the index")
    path = [unbase64(line, "a hash of the path") for line in lines[3:]]
    need(len(path) <= 60 and all(len(h) == 32 for h in path), "the path is not of hashes")
    extra = unbase64(lines[1][6:], "extra")
    entry, empty, opening = extra.partition(b"\n\n")
    leaf, _, salt = entry.rpartition(b"\n")
    need(empty and re.fullmatch(rb"salt [0-9a-f]{64}", salt), "extra has no line of salt after the leaf")
    need(len(opening) <= 32 << 10, "the opening is too large")
    return leaf + b"\n", bytes.fromhex(salt[5:].decode()), opening, index, path, checkpoint


def open_checkpoint(signed, name, key):
    """The origin, size and root that the key has signed, of C2SP signed-note and tlog-checkpoint."""
    need(len(signed) <= 256 << 10, "the checkpoint is too large")
    body, empty, signatures = signed.rpartition(b"\n\n")
    text, lines, named = body + b"\n", body.split(b"\n"), signatures.split(b"\n")
    signed.decode()  # or else it is no text
    need(empty and not re.search(rb"[\x00-\x09\x0b-\x1f]", signed), "the checkpoint is no signed note")
    need(len(lines) == 3 and re.fullmatch(rb"[!-*,-~]{1,255}", lines[0]), "the checkpoint is not of origin, size and root")
    need(1 < len(named) <= 101 and named[-1] == b"", "the checkpoint has no lines of signatures, or too many")
    size, root, good = decimal(lines[1], MAX_SIZE + 1, "the size"), unbase64(lines[2], "the root"), None
    for line in named[:-1]:
        dash, by, signature = (line.split(b" ", 2) + [b"", b""])[:3]
        raw = unbase64(signature, "a signature")
        need(dash == "\u2014".encode() and by and len(raw) > 4, "a line of signature is malformed")
        need(b"+" not in by and not re.search(r"\s", by.decode()), "a signature's name is malformed")
        if by == name and raw[:4] == sha256(name + b"\n" + key)[:4]:  # those of other keys are ignored
            try:
                Ed25519PublicKey.from_public_bytes(key[1:]).verify(raw[4:], text)
            except InvalidSignature:
                raise Refused("the signature of the key is false")
            need(good in (None, raw), "there are two different signatures of the key")
            good = raw
    need(good and name == lines[0], "the checkpoint is not signed by the key of its log")
    return lines[0].decode(), size, root


def root_of(leaf, index, size, path):
    """The root to which the path leads from the leaf, of RFC 9162, section 2.1.3.2."""
    node, at, last = sha256(b"\0" + leaf), index, size - 1
    for sibling in path:
        need(last > 0, "the path is too long")
        if at & 1 or at == last:
            node = sha256(b"\1" + sibling + node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = sha256(b"\1" + node + sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "the path is too short")
    return node


def verify(data, vkey):
    name, key = read_vkey(vkey)
    leaf, salt, opening, index, path, checkpoint = split_receipt(data)
    fields = LEAF.fullmatch(leaf)
    need(fields, "the leaf is malformed")
    currency, seq, at, kind, body = (field.decode() for field in fields.groups())
    need(kind in KINDS and int(at) < 1 << 63 and int(seq) < MAX_SIZE, "the leaf is malformed")
    need(int(seq) == index, "the leaf says another place in the log than the proof")
    need(sha256(salt + opening).hex() == body, "the opening does not belong to the leaf")
    origin, size, root = open_checkpoint(checkpoint, name, key)
    log = ORIGIN.fullmatch(origin)
    need(log and origin == origin.lower() and (not log[2] or 2 <= int(log[2]) < 1 << 32), "the origin is malformed")
    need(currency in ("https://" + log[1], "http://" + log[1]), "the leaf is of another currency than the log")
    need(index < size, "the leaf is not yet in the log of that size")
    need(root_of(leaf, index, size, path) == root, "the leaf is not in the log")
    return leaf, opening, "in the log %s of size %d, signed by %s" % (origin, size, name.decode())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python3 receipt.py FILE VKEY")
    try:
        with open(sys.argv[1], "rb") as file:
            shown_leaf, shown_opening, where = verify(file.read((512 << 10) + 1), sys.argv[2])
    except (Refused, OSError, UnicodeError) as why:
        sys.exit("refused: %s" % why)
    text = (shown_leaf + b"\n" + shown_opening).decode(errors="backslashreplace")
    print("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text))
    print(where)
