"""The values of PRECISION, and the engines that can run them."""

from worker.prepare.errors import PrepareError

FLOAT32 = "float32"
INT8 = "int8"
INT8_ENGINE = "litert"


def check_precision(precision: str, engine: str = INT8_ENGINE) -> None:
    """Raise PrepareError if there is no such precision, or if the engine cannot run it."""
    if precision not in (FLOAT32, INT8):
        raise PrepareError(f"PRECISION={precision!r}: there is no such precision. Use {FLOAT32} or {INT8}.")
    if precision == INT8 and engine != INT8_ENGINE:
        raise PrepareError(
            f"PRECISION={INT8} needs ENGINE={INT8_ENGINE}, not ENGINE={engine}: change one of the two settings."
        )
