"""Detects the format of a file, accepted or not, from its first bytes."""

import codecs
import re

# The accepted formats, by their names in shared/images/formats.py.
_ACCEPTED = (
    ("JPEG", rb"\xff\xd8"),
    ("PNG", rb"\x89PNG"),
    ("BMP", rb"BM"),
    ("GIF", rb"GIF8"),
    ("WebP", rb"RIFF....WEBP"),
    ("TIFF", rb"II[*+]\0|II\0[*+]|MM\0[*+]|MM\*\0"),
    ("AVIF", rb"....ftypavi[fs]"),
    ("HEIC", rb"....ftyp(hei[cxms]|hev[cxms]|mif[12]|miaf|msf1)"),
)

# Formats that clients send by mistake, with their articles; the first match counts.
_FOREIGN = (
    ("a JPEG XL picture", rb"\xff\x0a|\0\0\0\x0cJXL "),
    ("a JPEG 2000 picture", rb"\0\0\0\x0cjP|\xff\x4f\xff\x51"),
    ("a JPEG XR picture", rb"II\xbc"),
    ("a HEIF picture that is not encoded with HEVC", rb"....ftyp(avc[is]|j2k[is]|jpe?g|vvi[cs])"),
    ("a camera's raw picture (CR2)", rb"(II\*\0|MM\0\*)....CR"),
    ("a camera's raw picture (CR3)", rb"....ftypcrx "),
    ("a camera's raw picture (CRW)", rb"II....HEAPCCDR"),
    ("a camera's raw picture (RAF)", rb"FUJIFILMCCD-RAW"),
    ("a camera's raw picture (ORF)", rb"IIR[OS]|MMOR"),
    ("a camera's raw picture (RW2)", rb"IIU\0"),
    ("a camera's raw picture (MRW)", rb"\0MRM"),
    ("a camera's raw picture (X3F)", rb"FOVb"),
    ("a big-endian BigTIFF", rb"MM\0\+"),
    ("a PDF document", rb"%PDF"),
    ("a PostScript file (EPS)", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("a Photoshop file (PSD)", rb"8BPS"),
    ("a GIMP file (XCF)", rb"gimp xcf"),
    ("an icon (ICO)", rb"\0\0\x01\0[^\0]\0"),
    ("a cursor (CUR)", rb"\0\0\x02\0[^\0]\0"),
    ("an icon (ICNS)", rb"icns"),
    ("an OpenEXR picture", rb"v/1\x01"),
    ("a Radiance HDR picture", rb"#\?R"),
    ("a DirectDraw texture (DDS)", rb"DDS "),
    ("a portable pixmap (PNM)", rb"P[1-7F][\s#]"),
    ("a QOI picture", rb"qoif"),
    ("an MNG animation", rb"\x8aMNG|\x8bJNG"),
    ("an animated cursor (ANI)", rb"RIFF....ACON"),
    ("a DICOM file", rb".{128}DICM"),
    ("a FITS file", rb"SIMPLE  ="),
    ("a NumPy array", rb"\x93NUMPY"),
    ("an HDF5 file", rb"\x89HDF"),
    ("a DjVu document", rb"AT&TFORM"),
    ("a Windows metafile", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
    ("a bitmap array of OS/2", rb"BA.{12}(BM|CI|IC|CP|PT)"),
    ("a video (MP4 or MOV)", rb"....(ftyp(?!avi[fs]|he[iv]|mi[fa]|msf)|moov|mdat|wide|skip|free|pnot)"),
    ("a video (Matroska or WebM)", rb"\x1a\x45\xdf\xa3"),
    ("a video (AVI)", rb"RIFF....AVI "),
    ("a video (MPEG)", rb"\0\0\x01[\xb3\xba]"),
    ("a sound file", rb"RIFF....WAVE|ID3|fLaC|OggS"),
    ("a ZIP archive or an Office document", rb"PK(\x03\x04|\x05\x06)"),
    ("a compressed archive", rb"\x1f\x8b|BZh|7z\xbc\xaf|Rar!|\xfd7zXZ|\x28\xb5\x2f\xfd"),
    ("an old Office document", rb"\xd0\xcf\x11\xe0"),
    ("a program", rb"\x7fELF|MZ.{58}"),
    ("an SVG drawing", rb"(?i:\s*(<\?xml|<!--|<!DOCTYPE svg).*?<svg\b|\s*<svg\b)"),
    ("a web page (HTML)", rb"(?i:\s*(<!--.*?-->\s*)?<(!DOCTYPE html|html|head|body)\b)"),
    ("an XML document", rb"\s*<\?xml"),
)


# SVG may begin with a long comment.
_LONGEST_START = 2048


def accepted_format(data: bytes) -> str:
    """Return the name of the accepted format with this signature, "" if there is none."""
    return _first(_ACCEPTED, data[:_LONGEST_START])


def foreign_format(data: bytes) -> str:
    """Return the name of a well-known format that is not accepted, with its article; "" for others."""
    return _first(_FOREIGN, data[:_LONGEST_START].removeprefix(codecs.BOM_UTF8))


def _first(formats: tuple[tuple[str, bytes], ...], start: bytes) -> str:
    return next((name for name, pattern in formats if re.match(pattern, start, re.DOTALL)), "")
