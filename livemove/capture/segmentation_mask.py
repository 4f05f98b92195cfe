"""Takes the segmentation mask out of MediaPipe's pose models: the same landmarks, bit by bit, in two thirds of the
time.

In: the bytes of a verified pose_landmarker_*.task. Out: as many bytes, which MediaPipe takes like the first. Knows
TensorFlow Lite's container, nothing of images or processes.

PoseLandmarker's second network ends in five outputs: landmarks, presence, landmarks in metres, heat maps, and a
segmentation mask of 256 x 256. MediaPipe computes all of them, whether or not anybody asks for segmentation masks, and
on one thread that Python cannot make two. The layers of the segmentation mask alone are 9 % of the full model's
multiplications, but the widest, and more than a third of its time (`livemove bench --clip FILE`). An operator that
leads nowhere else is taken off the network's list of operators; what is left keeps its order and its weights.
"""

# flatbuffers has no types.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from flatbuffers.table import Table

NETWORK = "pose_landmarks_detector.tflite"
MASK_SHAPE = (1, 256, 256, 1)

_BUILT_OTHERWISE = (KeyError, ValueError, TypeError, IndexError, struct.error, zipfile.BadZipFile)

# Places of fields in TensorFlow Lite's schema.fbs.
_MODEL_SUBGRAPHS = 2
_GRAPH_TENSORS, _GRAPH_OUTPUTS, _GRAPH_OPERATORS = 0, 2, 3
_TENSOR_SHAPE = 0
_OPERATOR_INPUTS, _OPERATOR_OUTPUTS = 1, 2


def without_segmentation_mask(bundle: bytes) -> bytes:
    """bundle, a .task file, whose landmark network does not draw the segmentation mask; of the same length.

    A bundle that is not built as expected comes back as it is: MediaPipe judges it.
    """
    try:
        return _trimmed_bundle(bundle)
    except _BUILT_OTHERWISE:
        return bundle


def _trimmed_bundle(bundle: bytes) -> bytes:
    """The bundle with its network replaced in place; MediaPipe's bundles are ZIP files without compression."""
    archive = zipfile.ZipFile(io.BytesIO(bundle))
    entry = archive.getinfo(NETWORK)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError("the network is compressed")
    name, extra = struct.unpack_from("<HH", bundle, entry.header_offset + 26)
    start = entry.header_offset + 30 + name + extra
    network = _trimmed_network(bundle[start : start + entry.file_size])
    out = bytearray(bundle)
    out[start : start + entry.file_size] = network
    checksum = struct.pack("<I", zlib.crc32(network))
    out[entry.header_offset + 14 : entry.header_offset + 18] = checksum
    listed = bundle.index(NETWORK.encode(), archive.start_dir) - 46  # where its line in the archive's index begins
    out[listed + 16 : listed + 20] = checksum
    return bytes(out)


def _trimmed_network(network: bytes) -> bytes:
    """The flatbuffer with the operators that lead to the segmentation mask alone taken off the list of operators.

    Its place among the outputs, which MediaPipe counts, is given to another output.
    """
    out = bytearray(network)
    model = Table(out, struct.unpack_from("<I", out)[0])
    graph = _tables(model, _MODEL_SUBGRAPHS)[0]
    tensors, operators = _tables(graph, _GRAPH_TENSORS), _tables(graph, _GRAPH_OPERATORS)
    outputs = _integers(graph, _GRAPH_OUTPUTS)
    kept = [each for each in outputs if tuple(_integers(tensors[each], _TENSOR_SHAPE)) != MASK_SHAPE]
    if len(kept) != len(outputs) - 1:
        raise ValueError("the network has no segmentation mask")

    needed = _leading_to(kept, operators)
    start = _vector(graph, _GRAPH_OPERATORS)
    for place, number in enumerate(needed):  # an offset counts from where it stands
        where = start + 4 * place
        struct.pack_into("<I", out, where, operators[number].Pos - where)
    struct.pack_into("<I", out, start - 4, len(needed))
    start = _vector(graph, _GRAPH_OUTPUTS)
    for place, tensor in enumerate(outputs):
        if tensor not in kept:
            struct.pack_into("<i", out, start + 4 * place, kept[-1])
    return bytes(out)


def _leading_to(tensors: list[int], operators: list[Table]) -> list[int]:
    """The operators, in their order, that any of these tensors depends on."""
    maker = {tensor: n for n, each in enumerate(operators) for tensor in _integers(each, _OPERATOR_OUTPUTS)}
    needed: set[int] = set()
    waiting = list(tensors)
    while waiting:
        number = maker.get(waiting.pop())
        if number is not None and number not in needed:
            needed.add(number)
            waiting += _integers(operators[number], _OPERATOR_INPUTS)
    return sorted(needed)


def _vector(table: Table, field: int) -> int:
    """Where the elements of a table's vector begin; its length stands before them. Raises ValueError: not there."""
    offset = table.Offset(4 + 2 * field)
    if not offset:
        raise ValueError("a vector is missing")
    return table.Vector(offset)


def _integers(table: Table, field: int) -> list[int]:
    start = _vector(table, field)
    count = struct.unpack_from("<I", table.Bytes, start - 4)[0]
    return list(struct.unpack_from(f"<{count}i", table.Bytes, start))


def _tables(table: Table, field: int) -> list[Table]:
    start = _vector(table, field)
    count = struct.unpack_from("<I", table.Bytes, start - 4)[0]
    offsets = struct.unpack_from(f"<{count}I", table.Bytes, start)
    return [Table(table.Bytes, start + 4 * n + offset) for n, offset in enumerate(offsets)]
