"""Weight files that are wrong, each in one way: made from a tiny Qwen-Image in fp8 and in GGUF.

    for wrong in malformed_files(folder):
        complaint = refusal_of(wrong)     # one sentence; an error of another kind is raised

Cut files, headers that lie, sizes that would take all memory, scales that are none, notes that cannot be read.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmarks.harness import Row
from tests.tiny_files import make_split_pipeline, write_split
from tests.tiny_qwen import byte_tokenizer

from allaprima.core.errors import WeightsError
from allaprima.paint.bases.files.parts import NamedParts, PartName
from allaprima.paint.bases.loading import locate
from allaprima.paint.bases.qwen_image.split_files import load_split_qwen_image

HUGE = 2**62
PARTS: tuple[PartName, ...] = ("transformer", "text_encoder", "vae")
Header = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MalformedFile:
    """One wrong file among the right ones."""

    name: str
    """What is wrong with it."""
    part: PartName
    path: Path
    others: Mapping[PartName, Path] = field(default_factory=dict)
    """The right files of the other parts."""


def refusal_of(wrong: MalformedFile) -> str:
    """Return the sentence in which the file is refused; "" if it is loaded."""
    paths = {**wrong.others, wrong.part: wrong.path}
    try:
        named = NamedParts(text_encoder=str(paths["text_encoder"]), vae=str(paths["vae"]))
        located = locate(str(paths["transformer"]), (), named)
        assert located.path is not None
        load_split_qwen_image(
            {**located.parts, "transformer": located.path}, dtype=torch.float32, tokenizer=byte_tokenizer
        )
    except WeightsError as error:
        return str(error)
    return ""


def malformed_files(folder: Path) -> Iterator[MalformedFile]:
    """Yield wrong files, each alone in `folder`, which is written anew for the next one."""
    stock = make_split_pipeline()
    scaled = write_split(folder / "fp8", stock, "comfy_quant")
    told = write_split(folder / "told", stock, "metadata")
    blocks = write_split(folder / "gguf", stock, "Q8_0")
    sources: tuple[tuple[str, PartName, Mapping[PartName, Path], Cases], ...] = (
        ("fp8", "transformer", scaled, _safetensors_cases()),
        ("fp8 text", "text_encoder", scaled, [*_cuts(), *_shape_cases(), *_scale_cases()]),
        ("told", "transformer", told, _noted_cases()),
        ("GGUF", "transformer", blocks, _gguf_cases()),
        ("GGUF text", "text_encoder", blocks, _gguf_cases()),
    )
    for source, part, files, cases in sources:
        right = files[part].read_bytes()
        path = folder / f"wrong{files[part].suffix}"
        others = {one: files[one] for one in PARTS if one != part}
        for name, change in cases:
            path.write_bytes(change(right))
            yield MalformedFile(name=f"{source}: {name}", part=part, path=path, others=others)
        path.unlink(missing_ok=True)


def malformed_rows(folder: Path) -> Iterator[Row]:
    """Yield how many wrong files are refused in one sentence, and how many are not."""
    complaints = [refusal_of(wrong) for wrong in malformed_files(folder)]
    refused = sum(complaint.isprintable() and complaint != "" for complaint in complaints)
    yield Row(name="malformed files refused", value=refused, unit="", must=150, better="higher")
    yield Row(name="malformed files not refused", value=len(complaints) - refused, unit="", must=0)


Change = Callable[[bytes], bytes]
Cases = list[tuple[str, Change]]


def _cuts() -> Cases:
    shares = (0.0, 0.0001, 0.001, 0.01, 0.2, 0.5, 0.9, 0.9999)
    cut: Cases = [(f"cut at {share:.2%}", partial(_cut, share=share)) for share in shares]
    return [*cut, ("64 bytes too few", lambda data: data[:-64])]


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


# safetensors: the length of the header, the header as JSON, the tensors


def _edited(data: bytes, edit: Callable[[Header], object]) -> bytes:
    """Return a file whose header was changed in place; what `edit` returns replaces it."""
    length = int.from_bytes(data[:8], "little")
    header: Header = json.loads(data[8 : 8 + length])
    replaced = edit(header)
    text = (
        replaced
        if isinstance(replaced, bytes)
        else json.dumps(header if replaced is None else replaced).encode()
    )
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


Ending = str | tuple[str, ...]


def _entry(header: Header, ending: Ending) -> dict[str, Any]:
    """Return the entry of the first tensor whose name ends so."""
    entry: dict[str, Any] = next(value for name, value in header.items() if name.endswith(ending))
    return entry


def _set(header: Header, ending: Ending, changes: Mapping[str, object]) -> None:
    _entry(header, ending).update(changes)


def _rename(header: Header, ending: Ending, new: str) -> None:
    """Give the first tensor of such a name another ending."""
    name = next(name for name in header if name.endswith(ending))
    old = next(one for one in (ending if isinstance(ending, tuple) else (ending,)) if name.endswith(one))
    header[name.removesuffix(old) + new] = header.pop(name)


def _swap_bytes(data: bytes, ending: str, new: bytes) -> bytes:
    """Return a file whose first tensor of such a name begins with other bytes."""
    length = int.from_bytes(data[:8], "little")
    begin, end = _entry(json.loads(data[8 : 8 + length]), ending)["data_offsets"]
    at = 8 + length + begin
    return data[:at] + new[: end - begin] + data[at + min(len(new), end - begin) :]


WEIGHT = ("attn.norm_added_q.weight", "layers.0.input_layernorm.weight")
"""A tensor of a transformer, and one of a text encoder."""


def _safetensors_cases() -> Cases:
    return [*_cuts(), *_length_cases(), *_header_cases(), *_shape_cases(), *_scale_cases()]


def _length_cases() -> Cases:
    lengths = (0, 1, 2, 7, 2**24 + 1, 2**32, HUGE, 2**64 - 1)
    return [
        (
            f"a header of {length:,} bytes",
            partial(lambda data, length: length.to_bytes(8, "little") + data[8:], length=length),
        )
        for length in lengths
    ]


def _header_cases() -> Cases:
    whole: dict[str, Callable[[Header], object]] = {
        "a header that is a list": list,
        "a header that is a number": lambda _: 7,
        "a header that is null": lambda _: b"null",
        "a header that is no JSON": lambda _: b'{"a": {"dtype": "F32", ' + b" " * 100,
        "a header of half a word": lambda _: b'{"a\xff": 1}',
        "a header that nests": lambda _: b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "a name that comes twice": lambda header: json.dumps(header)[:-1].encode() + b', "x": 1, "x": 1}',
        "three hundred thousand tensors": lambda header: {
            **header, **{f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)}
        },
        "metadata that are numbers": lambda header: {**header, "__metadata__": {"a": 1}},
        "metadata that are a list": lambda header: {**header, "__metadata__": ["a"]},
        "no tensors": lambda _: b"{}",
        "an entry that is a list": lambda header: {**header, "a": [1]},
        "an entry without a shape": lambda header: {**header, "a": {"dtype": "F32", "data_offsets": [0, 4]}},
        "an entry with too much": lambda header: {
            **header, "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4], "more": 1}
        },
    }  # fmt: skip
    return [(name, partial(_edited, edit=edit)) for name, edit in whole.items()]


def _shape_cases() -> Cases:
    entries: dict[str, dict[str, object]] = {
        "a shape of 2^62": {"shape": [HUGE]},
        "a shape of 2^31 x 2^31": {"shape": [2**31, 2**31]},
        "a shape below 0": {"shape": [-1, 256]},
        "a shape of fractions": {"shape": [1.5, 256]},
        "a shape of words": {"shape": ["a"]},
        "a shape of truths": {"shape": [True, 256]},
        "a shape that is none": {"shape": None},
        "a shape of 40 sides": {"shape": [1] * 40},
        "an unknown dtype": {"dtype": "F128"},
        "a dtype that is a list": {"dtype": ["F32"]},
        "offsets that run back": {"data_offsets": [8, 0]},
        "offsets below 0": {"data_offsets": [-8, 0]},
        "offsets outside the file": {"data_offsets": [2**40, 2**40 + 65536]},
        "offsets of 2^62": {"data_offsets": [0, HUGE]},
        "offsets of fractions": {"data_offsets": [0.5, 8]},
        "one offset": {"data_offsets": [0]},
        "offsets upon another tensor": {"data_offsets": [0, 65536]},
    }
    edits: Cases = [
        (name, partial(_edited, edit=partial(_set, ending=WEIGHT, changes=changes)))
        for name, changes in entries.items()
    ]
    return [
        *edits,
        ("a weight that is missing", partial(_edited, edit=partial(_rename, ending=WEIGHT, new=".other"))),
        ("bytes after the last tensor", lambda data: data + b"\0" * 64),
    ]


def _scale_cases() -> Cases:
    numbers = {
        "no number": b"\0\0\xc0\x7f",
        "infinite": b"\0\0\x80\x7f",
        "below 0": b"\0\0\x80\xbf",
        "0": b"\0" * 4,
    }
    bad: Cases = [
        (f"a scale that is {what}", partial(_swap_bytes, ending=".weight_scale", new=number))
        for what, number in numbers.items()
    ]
    note = ".comfy_quant"
    notes = {
        "no JSON": b"{{{", "of another format": b'{"format": "nvfp4"}       ',
        "rotated": b'{"convrot":true}', "a list": b"[1, 2, 3] ",
    }  # fmt: skip
    return [
        *bad,
        *(
            (f"a note that is {what}", partial(_padded_note, ending=note, new=new))
            for what, new in notes.items()
        ),
        (
            "a scale that goes with no weight",
            partial(_edited, edit=partial(_rename, ending=".weight_scale", new=".x.weight_scale")),
        ),
        (
            "a scale that is not there",
            partial(_edited, edit=partial(_rename, ending=".weight_scale", new=".input_scale")),
        ),
        (
            "a scale in whole numbers",
            partial(_edited, edit=partial(_set, ending=".weight_scale", changes={"dtype": "I32"})),
        ),
        (
            "a scale of NVFP4",
            partial(_edited, edit=partial(_rename, ending=".weight_scale", new=".weight_scale_2")),
        ),
        ("a note in floats", partial(_edited, edit=_float_note)),
        ("packed weights", partial(_edited, edit=partial(_set, ending=WEIGHT, changes={"dtype": "U8"}))),
        ("eight-bit whole numbers without a scale", partial(_edited, edit=_unscaled_int8)),
    ]


def _padded_note(data: bytes, ending: str, new: bytes) -> bytes:
    """Return a file whose first note is `new`, filled up with blanks."""
    return _swap_bytes(data, ending, new.ljust(28))


def _float_note(header: Header) -> None:
    entry = _entry(header, ".comfy_quant")
    begin, end = entry["data_offsets"]
    entry.update(dtype="F16", shape=[(end - begin) // 2])


def _unscaled_int8(header: Header) -> None:
    name = next(
        name for name, entry in header.items() if entry.get("dtype") == "F8_E4M3" and name.endswith(".weight")
    )
    header[name]["dtype"] = "I8"
    layer = name.removesuffix(".weight")
    header[f"{layer}.input_scale"] = header.pop(f"{layer}.weight_scale")


def _noted_cases() -> Cases:
    texts: dict[str, str] = {
        "no JSON": "{", "a list": "[1]", "a number": "3", "without layers": "{}",
        "with layers that are a list": '{"layers": [1]}', "with layers that are words": '{"layers": {"a": "fp8"}}',
        "of another format": '{"layers": {"a": {"format": "svdquant_w4a4"}}}',
        "of a rotated format": '{"layers": {"a": {"format": "int8_tensorwise", "convrot": true}}}',
        "that nests": "[" * 100_000,
    }  # fmt: skip
    wrong: Cases = [
        (f"metadata {what}", partial(_edited, edit=partial(_note, text=text))) for what, text in texts.items()
    ]
    unscaled = partial(_rename, ending=".weight_scale", new=".x.input_scale")
    return [*wrong, ("a layer told of without its scale", partial(_edited, edit=unscaled))]


def _note(header: Header, text: str) -> None:
    header["__metadata__"] = {"_quantization_metadata": text}


# GGUF: magic, version, counts, fields, tensors


def _gguf_cases() -> Cases:
    return [*_cuts(), *_count_cases(), *_field_cases(), *_tensor_cases()]


def _count_cases() -> Cases:
    """Wrong numbers where every GGUF has its version (at 4), its number of tensors (8) and of fields (16)."""
    versions = (0, 1, 4, 2**24 * 3, 2**32 - 1)
    counts = (10**6, 2**31, 10**9, HUGE, 2**64 - 1)
    wrong: Cases = [
        *((f"version {version}", partial(_put, at=4, form="I", number=version)) for version in versions),
        *((f"{count:,} tensors", partial(_put, at=8, form="Q", number=count)) for count in counts),
        *((f"{count:,} fields", partial(_put, at=16, form="Q", number=count)) for count in counts),
        ("a name of 2^62 bytes", partial(_put, at=24, form="Q", number=HUGE)),
        ("a name of 2,000 bytes", partial(_put, at=24, form="Q", number=2000)),
    ]
    wrong.append(("another magic", lambda data: b"GGLA" + data[4:]))
    return wrong


def _put(data: bytes, at: int, form: str, number: int) -> bytes:
    return data[:at] + struct.pack(f"<{form}", number) + data[at + struct.calcsize(form) :]


def _with_fields(data: bytes, new: tuple[bytes, ...]) -> bytes:
    """Return a file with more fields before its own."""
    (count,) = struct.unpack_from("<Q", data, 16)
    return data[:16] + struct.pack("<Q", count + len(new)) + b"".join(new) + data[24:]


def _word(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _field(name: str, kind: int, value: bytes) -> bytes:
    return _word(name) + struct.pack("<I", kind) + value


def _array(kind: int, count: int, entries: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + entries


def _field_cases() -> Cases:
    fields = {
        "a word of 2^62 bytes": _field("a", 8, struct.pack("<Q", HUGE)),
        "a word of 100 MB": _field("a", 8, struct.pack("<Q", 10**8)),
        "an unknown type": _field("a", 13, b""),
        "an array of an unknown type": _field("a", 9, _array(99, 1)),
        "an array of arrays": _field("a", 9, _array(9, 1, _array(4, 1))),
        "words that are not there": _field("a", 9, _array(8, 10**6)),
        "no alignment": _field("general.alignment", 4, struct.pack("<I", 0)),
        "an alignment of 3": _field("general.alignment", 4, struct.pack("<I", 3)),
        "an alignment of 2^31": _field("general.alignment", 4, struct.pack("<I", 2**31)),
        "an alignment in words": _field("general.alignment", 8, _word("32")),
        **{
            f"{count:,} entries of type {kind}": _field("a", 9, _array(kind, count))
            for kind in (0, 7, 8, 12)
            for count in (10**9, 2**64 - 1)
        },
    }
    twice = _field("a", 4, struct.pack("<I", 1))
    shapes = {
        "that does not fit": (9, _array(5, 2, struct.pack("<ii", 3, 3))),
        "below 0": (9, _array(5, 2, struct.pack("<ii", -16, -16))),
        "in words": (8, _word("256")),
    }
    return [
        *((name, partial(_with_fields, new=(new,))) for name, new in fields.items()),
        ("a field that comes twice", partial(_with_fields, new=(twice, twice))),
        *(
            (f"an original shape {what}", partial(_with_shape, kind=kind, value=value))
            for what, (kind, value) in shapes.items()
        ),
    ]


def _with_shape(data: bytes, kind: int, value: bytes) -> bytes:
    """Return a file that notes another shape for its first tensor."""
    return _with_fields(data, (_field(f"comfy.gguf.orig_shape.{_first_name(data)}", kind, value),))


def _tensor_cases() -> Cases:
    """Wrong numbers in the entry of one tensor: sides, format, place."""
    numbers = {
        "sides": (5, 1000, 2**32 - 1), "side": (2**40 + 1, HUGE, 2**64 - 1),
        "format": (4, 5, 16, 36, 99, 2**32 - 1), "place": (1, 32, 2**40, HUGE, 2**64 - 32),
    }  # fmt: skip
    wrong: Cases = [
        (f"{number:,} as {what}", partial(_put_entry, what=what, number=number))
        for what, those in numbers.items()
        for number in those
    ]
    return [*wrong, ("a tensor that comes twice", _twice), ("a tensor that is missing", _renamed)]


NAMES = ("img_in.weight", "token_embd.weight")
"""A tensor of a transformer, and one of a text encoder."""


def _first_name(data: bytes) -> str:
    return next(name for name in NAMES if _word(name) in data)


def _put_entry(data: bytes, what: str, number: int) -> bytes:
    """Return a file in which one number of a tensor's entry is another."""
    at = data.index(_word(_first_name(data))) + len(_word(_first_name(data)))
    (sides,) = struct.unpack_from("<I", data, at)
    places = {
        "sides": (at, "I"),
        "side": (at + 4, "Q"),
        "format": (at + 4 + 8 * sides, "I"),
        "place": (at + 8 + 8 * sides, "Q"),
    }
    place, form = places[what]
    return _put(data, place, form, number)


def _twice(data: bytes) -> bytes:
    """Return a file in which a tensor bears the name of another; both names are equally long."""
    ours, theirs = next(
        pair
        for pair in ((b"attn.to_k.weight", b"attn.to_q.weight"), (b"attn_k.weight", b"attn_q.weight"))
        if pair[0] in data
    )
    return data.replace(ours, theirs, 1)


def _renamed(data: bytes) -> bytes:
    name = _first_name(data).encode()
    return data.replace(name, name[:-1] + b"_", 1)
