"""Resizes decoded pictures with Pillow's bicubic filter, with SIMD instructions where possible."""

from PIL import Image

try:
    from cykooz_resizer import CropBox, FilterType, ImageData, PixelType, ResizeAlg, ResizeOptions, Resizer
except ImportError:  # there is no wheel for this machine
    PIXEL_TYPES = {}
else:
    PIXEL_TYPES = {"L": PixelType.U8, "RGB": PixelType.U8x3}

# Large pictures are averaged down to about this many times the target size, then filtered;
# docs/decisions/0003-decode.md measures the effect on results.
REDUCING_GAP = 4

Size = tuple[float, float]


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the picture, `width` x `height` pixels in the same mode.

    The result is that of `image.resize((width, height), BICUBIC, reducing_gap=REDUCING_GAP)`; samples of L and RGB may
    differ by two levels.
    """
    factors = (_factor(image.width, width), _factor(image.height, height))
    # The last column and row of the reduced picture may cover fewer pixels than the others.
    size = (image.width / factors[0], image.height / factors[1])
    reduced = image if factors == (1, 1) else image.reduce(factors)
    if image.mode in PIXEL_TYPES:
        return _filtered(reduced, size, (width, height))
    return reduced.resize((width, height), Image.Resampling.BICUBIC, box=(0, 0, *size))


def _factor(side: int, wanted: int) -> int:
    return max(1, int(side / wanted / REDUCING_GAP))


def _filtered(image: Image.Image, part: Size, target: tuple[int, int]) -> Image.Image:
    """Filter the upper left `part` of the picture in two steps, in the order of Pillow 13.

    In one step, columns always come first, and samples differ from Pillow's by up to nine levels instead of two.
    """
    width, height = target
    kind = PIXEL_TYPES[image.mode]
    if image.height > height and image.height - height > 2 * (image.width - width):
        steps = [((image.width, part[1]), (image.width, height)), ((part[0], height), target)]
    else:
        steps = [((part[0], image.height), (width, image.height)), ((width, part[1]), target)]
    # A copy: access to the bytes in place would need Pillow's private structure.
    pixels = ImageData(image.width, image.height, kind, image.tobytes())
    for source_size, size in steps:
        pixels = _step(pixels, source_size, ImageData(*size, kind))
    return Image.frombytes(image.mode, target, pixels.get_buffer())


def _step(source: "ImageData", size: Size, result: "ImageData") -> "ImageData":
    # Pillow's bicubic filter (a = -0.5) is that of Catmull and Rom.
    options = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom), crop_box=CropBox(0, 0, *size))
    Resizer().resize(source, result, options)
    return result
