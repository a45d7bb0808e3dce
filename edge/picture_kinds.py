"""What a file is by its first bytes and its suffix: an image, a film, or neither. Nothing is decoded."""

from __future__ import annotations

import os
import re
from pathlib import Path

HEAD = 64  # Bytes that every function here needs at most.

# What Pillow reads everywhere, and what it reads only where it, or another package, can.
SUFFIXES = (
    ".bmp", ".dib", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png", ".apng", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
    ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif",
)  # fmt: skip
VIDEO_SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".f4v", ".flv", ".h264", ".h265", ".hevc", ".insv", ".lrv",
    ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mod", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts",
    ".mxf", ".ogv", ".qt", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
# Programs' own files have these suffixes too (TypeScript, trackers' music): in folders, the bytes decide.
_AMBIGUOUS = (".mod", ".mts", ".ts")
# Raw photos: most are TIFF files whose first page is a small preview.
RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_UNREAD_SUFFIXES = {
    ".dds": "DDS", ".eps": "PostScript", ".exr": "OpenEXR", ".hdr": "Radiance HDR", ".ico": "Windows icon",
    ".j2k": "JPEG 2000", ".jp2": "JPEG 2000", ".jpf": "JPEG 2000", ".jpx": "JPEG 2000", ".jxl": "JPEG XL",
    ".jxr": "JPEG XR", ".pam": "PAM", ".pcx": "PCX", ".pfm": "PFM", ".psb": "Photoshop", ".psd": "Photoshop",
    ".qoi": "QOI", ".svg": "SVG", ".tga": "Targa", ".wdp": "JPEG XR", ".xcf": "GIMP",
}  # fmt: skip
_SIGNATURES = {
    "BMP": (b"BM",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "PPM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
}
_UNREAD_SIGNATURES = {
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG-LS": (b"\xff\xd8\xff\xf7",),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "JPEG XR": (b"II\xbc\x01", b"II\xbc\x00"),
    "OpenEXR": (b"\x76\x2f\x31\x01",),
    "Radiance HDR": (b"#?RADIANCE", b"#?RGBE"),
    "Photoshop": (b"8BPS",),
    "QOI": (b"qoif",),
    "PAM": (b"P7\n",),
    "PFM": (b"PF\n", b"Pf\n"),
    "GIMP": (b"gimp xcf",),
    "DDS": (b"DDS |",),
    "PostScript": (b"%!PS-Adobe", b"\xc5\xd0\xd3\xc6"),
    "raw photo": (
        b"FUJIFILMCCD-RAW",
        b"IIU\0",
        b"IIRO",
        b"IIRS",
        b"MMOR",
        b"\0MRM",
        b"FOVb",
        b"II\x1a\0\0\0HEAP",
    ),
}
_RAW_TIFF_MARKS = (b"CR", 8)  # Canon's CR2, a TIFF file with these bytes at this place.
_VIDEO_SIGNATURES = (
    b"\x1a\x45\xdf\xa3",  # EBML: Matroska, WebM.
    b"FLV\x01",
    b"\0\0\x01\xba",  # MPEG program stream.
    b"\0\0\x01\xb3",  # MPEG-1 and 2 without a container.
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, Windows Media.
)
# Brands in the first box of ISO base media files: ISO/IEC 23008-12 (HEIF), AV1's AVIF, Canon's CR3.
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_SOUND_BRANDS = (b"M4A ", b"M4B ", b"M4P ")
_SYNC = 0x47  # Every packet of an MPEG transport stream begins with it.
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # Lengths of the header behind the file's own.
_PPM_START = rb"P[1-6]\s+(#|\d+\s+(#|\d+\s))"


def identify(head: bytes) -> str | None:
    """Return the format of a file that may be read, by its first HEAD bytes; None for another.

    The formats are those of `image_file.FORMATS`: AVIF and HEIF are read where a package for them is there.
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(_UNREAD_SIGNATURES["JPEG-LS"]):  # Its first bytes are also those of a JPEG.
        return None
    if brands := _brands(head):
        if brands[0] in _AVIF_BRANDS or (brands[0] in (b"mif1", b"msf1") and set(brands) & set(_AVIF_BRANDS)):
            return "AVIF"
        return "HEIF" if brands[0] in _HEIF_BRANDS else None
    return next((name for name, known in _SIGNATURES.items() if head.startswith(known)), None)


def is_film_start(head: bytes) -> bool:
    """Return whether a file's first HEAD bytes are those of a film; a transport stream has no such start."""
    if brands := _brands(head):
        return identify(head) is None and brands[0] not in (
            *_SOUND_BRANDS,
            b"crx ",
            b"jp2 ",
            b"jpx ",
            b"jxl ",
        )
    riff = head.startswith(b"RIFF") and head[8:12] == b"AVI "
    old_quicktime = head[4:8] in (b"moov", b"mdat", b"wide") and head[:2] == b"\0\0"
    ogg_film = head.startswith(b"OggS") and b"\x80theora" in head
    return riff or old_quicktime or ogg_film or head.startswith(_VIDEO_SIGNATURES)


def kind_not_read(head: bytes, suffix: str = "") -> str | None:
    """Return what an image or film is that `open_image` does not read, such as "a raw photo (DNG)".

    `suffix` is that of the file's name; it decides where the bytes leave it open. None for a file that is
    readable, or neither image nor film.
    """
    suffix = suffix.lower()
    known = identify(head)
    if (known == "TIFF" or known is None) and suffix in RAW_SUFFIXES:
        return f"a raw photo ({suffix[1:].upper()})"
    mark, place = _RAW_TIFF_MARKS
    if (known == "TIFF" and head[place : place + 2] == mark) or _brands(head)[:1] == [b"crx "]:
        return "a raw photo (Canon)"
    return None if known else _kind_by_start(head) or _kind_by_suffix(suffix)


def _kind_by_start(head: bytes) -> str | None:
    for name, starts in _UNREAD_SIGNATURES.items():
        if head.startswith(starts):
            return f"a {name}" if name == "raw photo" else f"an image of the format {name}"
    return "a film" if is_film_start(head) else None


def _kind_by_suffix(suffix: str) -> str | None:
    if suffix in _UNREAD_SUFFIXES:
        return f"an image of the format {_UNREAD_SUFFIXES[suffix]}, by its name"
    return "a film, by its name" if suffix in VIDEO_SUFFIXES else None


def looks_like_picture(path: str) -> bool:
    """Return whether a file in a folder looks like an image or a film, by its suffix or its first bytes.

    At most HEAD bytes are read, and only where the suffix is none of an image or a film. Hidden files do not:
    they are what programs keep beside the files of people. A file that cannot be opened looks as its suffix
    says.
    """
    name = os.path.basename(path)  # noqa: PTH119 - For each file of a folder.
    if name.startswith("."):
        return False
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    if suffix in _KNOWN_SUFFIXES:
        return True
    head = _read_head(path)
    return starts_as_picture(head) or (suffix in _AMBIGUOUS and _is_stream_start(head))


def is_film_in_folder(path: Path) -> bool:
    """Return whether a file that looks like a picture is a film, by its suffix, else by its first bytes."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return True
    return suffix not in _KNOWN_SUFFIXES and is_film_start(_read_head(str(path)))


def _read_head(path: str) -> bytes:
    """Return the first HEAD bytes; none of a file that cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):  # ValueError: the name holds a NUL.
        return b""
    try:
        return os.read(file, HEAD)
    except OSError:
        return b""
    finally:
        os.close(file)


def starts_as_picture(head: bytes) -> bool:
    """Return whether the bytes alone show an image or film: signatures of two letters are not enough."""
    known = identify(head)
    if known == "BMP":
        return int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    if known == "PPM":
        return re.match(_PPM_START, head) is not None
    return known is not None or kind_not_read(head) is not None


def _is_stream_start(head: bytes) -> bool:
    """Return whether the bytes may be a transport stream's, with or without time stamps of 4 bytes."""
    sync, is_text = bytes([_SYNC]), head.isascii() and b"\0" not in head
    return not is_text and sync in (head[:1], head[4:5])


def _brands(head: bytes) -> list[bytes]:
    """Return the brands of an ISO base media file, the major one first; none for another file."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]


_KNOWN_SUFFIXES = frozenset(
    {*SUFFIXES, *RAW_SUFFIXES, *_UNREAD_SUFFIXES, *(s for s in VIDEO_SUFFIXES if s not in _AMBIGUOUS)}
)
