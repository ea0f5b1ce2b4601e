#!/usr/bin/env python3
"""Makes round.txt: a small masked round, computed a second time without the Rust code.

Run: python3 crates/privacy/testdata/round.py > crates/privacy/testdata/round.txt
Made with Python 3.11.7, `cryptography` 50.0.2 and `blake3` 1.0.11; nothing in it depends on their versions.
"""

import hashlib
import json

import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MODULUS = 1 << 128
BLOCK_BYTES = 4 * 1024


# --- bytes -----------------------------------------------------------------------------------


def sha256(data):
    return hashlib.sha256(data).digest()


class Writer:
    """Fields with their lengths in 8 bytes, little-endian; the first is the name."""

    def __init__(self, name):
        self.data = b""
        self.text(name)

    def bytes(self, value):
        self.data += len(value).to_bytes(8, "little") + value

    def text(self, value):
        self.bytes(value.encode())

    def number(self, value):
        self.bytes(value.to_bytes(8, "little"))

    def hash(self):
        return sha256(self.data)


def derive(secret, info):
    return HKDF(SHA256(), 32, salt=b"consilium/v1", info=info).derive(secret)


def stream(key, cells):
    """Cells of the mask stream: AES-256-GCM over zeros, without tags, little-endian."""
    data, block = b"", 0
    while len(data) < 16 * cells:
        sealed = AESGCM(key).encrypt(block.to_bytes(12, "big"), bytes(BLOCK_BYTES), b"")
        data, block = data + sealed[:BLOCK_BYTES], block + 1
    return [int.from_bytes(data[16 * i : 16 * i + 16], "little") for i in range(cells)]


def signing_key(seed):
    return Ed25519PrivateKey.from_private_bytes(derive(seed, b"sign"))


def public(seed):
    return signing_key(seed).public_key().public_bytes_raw()


def sign(seed, context, message):
    return signing_key(seed).sign(context + b"\0" + message)


# --- the round ---------------------------------------------------------------------------------

AUTHORITY, COORDINATOR, WITNESS = bytes([1] * 32), bytes([2] * 32), bytes([3] * 32)
HOSPITALS = ["h-1", "h-2", "h-3"]
ROUND_KEY, GUARD_SECRET = bytes([0x31] * 32), bytes([0x32] * 32)
SQL = "SELECT stay.drg_code AS d0, stay.sex AS d1 FROM stay"
DIMENSIONS = ["drg_code", "sex"]
# Codes, and what becomes of others: a place for NULL, one for each code, one for all others.
DOMAINS = [(["A01", "B02"], "Named"), (["F", "M"], "None")]
# Scale, bound, money.
INPUTS = [
    ("Decimal(4)", 10**12, True),
    ("Decimal(0)", 400, False),
    ("Decimal(2)", 1 << 60, True),
    ("Decimal(0)", 5, False),
]
MEASURES = ["Rows", "Squares(0)", "Products(0, 1)", "Sum(2)", "Histogram(3, 7)"]
WIDTHS, SUPPORTS = [1, 3, 6, 2, 7], [0, 3, 4, 3, 2]
# Bins of each histogram: below 0, and 0 to 5.
BINS = [0, 0, 0, 0, 7]
# For each measure, its sums of money: the cell, and the input.
MONEY = [[], [(1, 0)], [(1, 0)], [(1, 2)], []]
PERSONS, STAYS, CONTRIBUTORS, DOMINANCE_E4 = 11, 11, 3, 5625
# What the request is about: a hash of tables and conditions, a column with one label, the columns of
# the dimensions, and for one column the stretch that was asked for and the part where there are values.
VEIL_KEY, BASE = bytes([0x33] * 32), bytes([0x34] * 32)
PINS = [("stay.payer", "UEBMI")]
COLUMN_OF = ["stay.drg_code", "stay.sex"]
SPAN = ("stay.discharged_at", 1_704_067_200, 1_711_929_600, 1_706_745_600, 1_711_929_600)
LIFETIME_MS = 60_000

# Hospital, codes (None is NULL), rows, stays, persons, cells, support sets of each measure, persons
# of each bin.
GROUPS = [
    ("h-1", ["A01", "F"], 14, 14, 12,
     [14, 14, 1_234_567, 108_865_432_109, 13, 1_200_000, 91, 110_000_000_000, 701, 8_400_000,
      14, 987_654_321_012_345, 0, 1, 3, 9, 0, 0, 1],
     [[], [12, 0, 12], [11, 1, 11, 11], [12, 0, 12], [12, 0]], [0, 1, 2, 8, 0, 0, 1]),
    ("h-1", ["XYZ", None], 2, 2, 1, [2, 2, -40_000, 800_000_000, 0, 0, 0, 0, 0, 0, 2, -1,
                                    0, 0, 2, 0, 0, 0, 0],
     [[], [1, 0, 1], [0, 1, 0, 0], [1, 0, 1], [1, 0]], [0, 0, 1, 0, 0, 0, 0]),
    ("h-2", ["A01", "F"], 9, 9, 9,
     [9, 9, 2_000_001, 444_444_888_889, 9, 2_000_001, 45, 444_444_888_889, 285, 10_000_005,
      9, 1 << 89, 0, 0, 0, 9, 0, 0, 0],
     [[], [9, 0, 9], [9, 0, 9, 9], [9, 0, 9], [9, 0]], [0, 0, 0, 9, 0, 0, 0]),
    ("h-2", [None, "M"], 1, 1, 1, [1] + [0] * 18,
     [[], [0, 1, 0], [0, 1, 0, 0], [0, 1, 0], [0, 1]], [0] * 7),
    ("h-3", ["B02", "M"], 30, 29, 28,
     [30, 30, -7, 49, 30, -7, 12_000, 49, 4_800_000, -2_800, 30, 1_023, 0, 0, 0, 14, 0, 0, 16],
     [[], [28, 0, 1], [28, 0, 1, 28], [28, 0, 28], [28, 0]], [0, 0, 0, 13, 0, 0, 15]),
]


def roster_hash():
    keys = lambda i: {"sign": public(bytes([0x11 + i] * 32)).hex(), "seal": f"{0x21 + i:02x}" * 32}
    text = {
        "region": "east",
        "version": 1,
        "coordinator": public(COORDINATOR).hex(),
        "witness": public(WITNESS).hex(),
        "hospitals": {name: keys(i) for i, name in enumerate(HOSPITALS)},
    }
    return sha256(json.dumps(text, separators=(",", ":")).encode())


def family_hash():
    writer = Writer("consilium/family/v3")
    writer.text("pooled")
    writer.text(SQL)
    return writer.hash()


def request_hash():
    writer = Writer("consilium/request/v2")
    writer.text("pooled")
    writer.text(SQL)
    writer.number(len(DOMAINS))
    for codes, outside in DOMAINS:
        writer.text(outside)
        writer.number(len(codes))
        for code in codes:
            writer.text(code)
    writer.number(len(DIMENSIONS))
    for name in DIMENSIONS:
        writer.text(name)
    writer.number(len(INPUTS))
    for scale, bound, money in INPUTS:
        writer.text(f"{scale} {bound} {str(money).lower()}")
    for measure in MEASURES:
        writer.text(measure)
    for sets in SUPPORTS:
        writer.number(sets)
    return writer.hash()


def size(domain):
    codes, outside = domain
    return 1 + len(codes) + (outside != "None")


CELLS = size(DOMAINS[0]) * size(DOMAINS[1])


def guard_key():
    return derive(GUARD_SECRET, b"guard-key" + sid())


def veil(kind, *fields):
    writer = Writer(kind)
    for field in fields:
        writer.bytes(field)
    keyed = blake3.blake3(writer.data, key=VEIL_KEY).digest()
    return int.from_bytes(keyed[:16], "little")


def veil_label(column, code):
    present = (code is not None).to_bytes(8, "little")
    return veil("label", column.encode(), present, (code or "").encode())


def veil_tag(total):
    return veil("set", (total % MODULUS).to_bytes(16, "little"))


def beside(codes, outside):
    """What stands for all codes that are not in a list."""
    writer = Writer("beside")
    writer.text(outside)
    writer.number(len(codes))
    for code in codes:
        writer.text(code)
    return writer.hash().hex()


def whole_sum():
    # No condition is on an attribute of the hospital.
    base = Writer("consilium/base/v1")
    base.bytes(BASE)
    return (veil("base", base.hash()) + sum(veil_label(*pin) for pin in PINS)) % MODULUS


def tags():
    """The tag of the whole, and of each cell in the round's order."""
    whole = whole_sum()
    labels = [[None] + codes + [beside(codes, outside)] * (outside != "None") for codes, outside in DOMAINS]
    cells = [0] * CELLS
    for cell, place in enumerate(order()):
        codes = [labels[0][cell // len(labels[1])], labels[1][cell % len(labels[1])]]
        cells[place] = veil_tag(whole + sum(map(veil_label, COLUMN_OF, codes)))
    return veil_tag(whole), cells


def veiled_hash():
    whole, cells = tags()
    key = Writer("consilium/veil-key/v1")
    key.bytes(VEIL_KEY)
    writer = Writer("consilium/veiled/v1")
    writer.bytes(key.hash())
    writer.number(1)
    writer.bytes(whole.to_bytes(16, "little"))
    writer.number(len(PINS))
    for column, code in PINS:
        rest = (whole_sum() - veil_label(column, code)) % MODULUS
        writer.bytes(veil_tag(rest).to_bytes(16, "little"))
        writer.bytes(veil("cut", rest.to_bytes(16, "little"), column.encode()).to_bytes(16, "little"))
    # The cells are groups by two columns, so none stands for both.
    writer.number(0)
    writer.bytes(bytes(16))
    writer.number(1)
    writer.text(f"{veil('column', SPAN[0].encode()):032x}")
    for end in SPAN[1:]:
        writer.number(end)
    writer.bytes(sha256(b"".join(tag.to_bytes(16, "little") for tag in cells)))
    return writer.hash()


def sid():
    writer = Writer("consilium/terms/v4")
    writer.text("east")
    commitment = Writer("consilium/round-key/v1")
    commitment.bytes(ROUND_KEY)
    nonce_a, nonce_b, witness_key = bytes([0x41] * 32), bytes([0x42] * 32), bytes([0x43] * 32)
    for field in [nonce_a, nonce_b, request_hash(), family_hash()]:
        writer.bytes(field)
    for field in [commitment.hash(), veiled_hash(), witness_key, roster_hash()]:
        writer.bytes(field)
    for number in [PERSONS, STAYS, CONTRIBUTORS, DOMINANCE_E4, LIFETIME_MS]:
        writer.number(number)
    writer.number(len(HOSPITALS))
    for name in HOSPITALS:
        writer.text(name)
    writer.number(CELLS)
    # Each cell has a sketch of its population.
    writer.number(1)
    writer.number(len(MEASURES))
    for supports, money, width, bins in zip(SUPPORTS, MONEY, WIDTHS, BINS):
        for number in [supports, len(money), width, bins]:
            writer.number(number)
    return writer.hash()


# --- columns -------------------------------------------------------------------------------------

# Two tallies of bins share a cell.
TALLIES = sum((bins + 1) // 2 for bins in BINS)
GUARDS = 3 + sum(SUPPORTS) + 5 * sum(map(len, MONEY)) + TALLIES + 66 // 3 + 1
VALUES = 1 + sum(WIDTHS)
# The bins of a histogram carry their checks themselves.
COLUMNS = GUARDS + 1 + VALUES + 1 + sum(bins == 0 for bins in BINS)


def coefficients(key, purpose, count):
    return [cell | 1 for cell in stream(derive(key, purpose), count)]


def order():
    places, random = list(range(CELLS)), stream(derive(ROUND_KEY, b"order"), CELLS)
    for last in range(CELLS - 1, 0, -1):
        other = ((random[last] >> 64) * (last + 1)) >> 64
        places[last], places[other] = places[other], places[last]
    return places


def place_in(domain, code):
    codes, outside = domain
    if code is None:
        return 0
    return codes.index(code) + 1 if code in codes else len(codes) + 1


def blinded(value, bound, random):
    shift = max(0, (bound - 1).bit_length() + 30 - 80)
    magnitude = -(-abs(value) >> shift)
    factor = ((1 << 96) | (random >> 32)) << (random & 15)
    product = (magnitude * factor) >> 96
    square, sign = product * product, -1 if value < 0 else 1
    limb = (1 << 64) - 1
    parts = [sign * (product & limb), sign * (product >> 64)]
    return parts + [square & limb, (square >> 64) & limb, square >> 128]


def sketch(hospital, code, rows, persons):
    """Row i is of person i modulo persons, and a stay of its own; their HMACs are made up."""
    counters = [0] * 66
    for row in range(rows):
        person = sha256(f"person {hospital} {code or '-'} {row % persons}".encode())
        stay = sha256(f"stay {hospital} {code or '-'} {row}".encode())
        weight = int.from_bytes(stay[:4], "big") % (1 << 22)
        counters[int.from_bytes(person[:8], "big") * 66 >> 64] += max(1, weight)
    counters = [counter % (1 << 22) for counter in counters]
    return [a + (b << 32) + (c << 64) for a, b, c in zip(*[iter(counters)] * 3)]


def lay_out(hospital):
    """Columns of cells before the mask."""
    columns = [[0] * CELLS for _ in range(COLUMNS)]
    places, sums_per_cell = order(), sum(map(len, MONEY))
    random = stream(derive(ROUND_KEY, b"blind"), CELLS * sums_per_cell)
    for name, codes, rows, stays, persons, cells, supports, binned in GROUPS:
        if name != hospital:
            continue
        cell = place_in(DOMAINS[0], codes[0]) * size(DOMAINS[1]) + place_in(DOMAINS[1], codes[1])
        cap = max(PERSONS, STAYS)
        guards = [min(persons, cap), min(stays, cap), 1]
        guards += [min(count, cap) for sets in supports for count in sets]
        offset, factors = 0, iter(random[cell * sums_per_cell : (cell + 1) * sums_per_cell])
        for width, money in zip(WIDTHS, MONEY):
            for at, source in money:
                guards += blinded(cells[offset + at], INPUTS[source][1], next(factors))
            offset += width
        # The one histogram's cells are the last.
        in_bins = zip(binned, cells[-BINS[-1] :])
        tallies = [min(count, cap) << 11 | (rows_of_bin > 0) for count, rows_of_bin in in_bins]
        guards += [low + (high << 32) for low, high in zip(tallies[::2], tallies[1::2] + [0])]
        guards += sketch(name, codes[0], rows, persons)
        guards += [1 << rows.bit_length() - 1]
        for column, value in enumerate(guards + [0, rows] + cells):
            columns[column][places[cell]] = value % MODULUS
    combine(columns, GUARDS, range(GUARDS), coefficients(guard_key(), b"guard", GUARDS))
    values = coefficients(ROUND_KEY, b"values", COLUMNS - GUARDS - 1)
    start, check = GUARDS + 1, GUARDS + 1 + VALUES
    for width, bins in zip([1] + WIDTHS, [0] + BINS):
        part = range(start, start + width)
        factors = [values[column - GUARDS - 1] for column in part]
        if bins == 0:
            combine(columns, check, part, factors)
            check += 1
        for column in part[:bins]:
            # The number of rows, and above it its check, of all bins with the first one's coefficient.
            columns[column] = [
                (rows + (factors[0] * rows << 41)) % MODULUS for rows in columns[column]
            ]
        start += width
    return columns


def combine(columns, check, part, factors):
    for cell in range(CELLS):
        terms = (factor * columns[column][cell] for column, factor in zip(part, factors))
        columns[check][cell] = sum(terms) % MODULUS


def upload(index):
    """The masked cells as they travel."""
    name, seed = HOSPITALS[index], bytes([0x51 + index] * 32)
    masks = stream(derive(seed, b"mask" + sid() + name.encode()), CELLS * COLUMNS)
    cells = [cell for column in lay_out(name) for cell in column]
    sums = (cell + mask for cell, mask in zip(cells, masks, strict=True))
    return b"".join((cell % MODULUS).to_bytes(16, "little") for cell in sums)


def receipt(upload_hash, sealed_hash):
    writer = Writer("consilium/receipt/v1")
    for field in [sid(), request_hash(), upload_hash, sealed_hash]:
        writer.bytes(field)
    return writer.hash()


def bound_to(name, fields):
    writer = Writer(name)
    for field in fields:
        writer.bytes(field)
    return writer.hash()


def main():
    print("# A masked round, version 3, made by round.py beside this file; what it is made of")
    print("# (request, keys, terms) stands there. Hashes, keys and cells are in hex, cells")
    print("# little-endian. group: hospital, codes (- is NULL), rows, stays, persons, cells, the support")
    print("# sets of each measure, and the persons of each bin.")
    for name, codes, rows, stays, persons, cells, supports, binned in GROUPS:
        codes = " ".join(code or "-" for code in codes)
        sets = "/".join(",".join(map(str, counts)) for counts in supports)
        cells, binned = (",".join(map(str, numbers)) for numbers in [cells, binned])
        print(f"group {name} {codes} {rows} {stays} {persons} {cells} {sets} {binned}")
    print(f"request {request_hash().hex()}")
    print(f"family {family_hash().hex()}")
    print(f"roster {roster_hash().hex()}")
    whole, cells = tags()
    print(f"tags {' '.join(f'{tag:032x}' for tag in [whole, *cells])}")
    print(f"veiled {veiled_hash().hex()}")
    print(f"sid {sid().hex()}")
    for party, seed in [("coordinator", COORDINATOR), ("witness", WITNESS)]:
        print(f"signature {party} {sign(seed, b'consilium/offer/v1', sid()).hex()}")
    print(f"columns {GUARDS} {COLUMNS}")
    print(f"order {' '.join(map(str, order()))}")
    for name, key, purpose, count in [
        ("guard", guard_key(), b"guard", GUARDS),
        ("value", ROUND_KEY, b"values", COLUMNS - GUARDS - 1),
    ]:
        for index, coefficient in enumerate(coefficients(key, purpose, count)):
            print(f"coefficient {name} {index} {coefficient.to_bytes(16, 'little').hex()}")
    for index, name in enumerate(HOSPITALS):
        data = upload(index)
        print(f"entry {name} 0 {data[:16].hex()}")
        print(f"entry {name} {len(data) // 16 - 1} {data[-16:].hex()}")
        upload_hash = blake3.blake3(data).digest()
        print(f"upload {name} {upload_hash.hex()}")
        # The sealed seed is random; here its hash is that of its hospital's name.
        message = receipt(upload_hash, sha256(name.encode()))
        signature = sign(bytes([0x11 + index] * 32), b"consilium/receipt/v1", message)
        print(f"receipt {name} {message.hex()} {signature.hex()}")
        seed = bound_to("consilium/seed/v1", [sid(), name.encode(), upload_hash])
        guard = bound_to("consilium/guard/v2", [roster_hash(), name.encode()])
        print(f"binding {name} {seed.hex()} {guard.hex()}")


if __name__ == "__main__":
    main()
