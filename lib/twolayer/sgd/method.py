"""What a step of SGD costs by each method: which of them, and which block, is the cheapest."""

from __future__ import annotations

from typing import Literal, get_args

from twolayer.support.checks import InvalidInput

Method = Literal["auto", "direct", "projected"]
METHODS: tuple[str, ...] = get_args(Method)
#: From so many students on the rotation is LAPACK's.
WIDE = 128
#: Samples that move recorded overlaps together.
CHUNK = 16
#: Samples in a block of the projected method, of which the cheapest is taken.
BLOCKS = (16, 32, 64, 128)


def choose(method: str, p: int, k: int, d: int, batch: int) -> tuple[str, int, str]:
    """The method, its samples per block, and why.

    "auto" takes the cheaper one.  "projected" is refused where there is no room for a block.  A
    block is a multiple of the batch.

    Examples
    --------
    >>> choose("auto", p=4, k=2, d=10, batch=1)[:2], choose("auto", p=4, k=2, d=10**6, batch=1)[:2]
    (('direct', 16), ('projected', 16))
    """
    # In low dimension the recursion within a block costs more than fresh fields would.
    block = 16 if p <= 32 or d <= 64 else 32 if p <= 64 else 64 if p <= 256 else 128
    block = whole_batches(block, batch)
    room = d - p - k
    least = max(8, batch)
    if method == "direct":
        return "direct", block, "as asked"
    if method == "projected":
        if room < least:
            raise InvalidInput(
                "method",
                f"'projected' at d = {d}",
                f"'direct' for d < p + k + {least} = {p + k + least}",
            )
        return "projected", _block_projected(p, k, d, batch), "as asked"
    if room < least:
        return "direct", block, f"d = {d} is below p + k + {least} = {p + k + least}"
    wide = _block_projected(p, k, d, batch)
    direct, projected = cost(p, k, d, block), cost(p, k, d, wide, True, batch)
    why = f"estimated {direct:.2g} µs a step direct, {projected:.2g} µs projected"
    if direct <= projected:
        return "direct", block, why
    return "projected", wide, why


def _block_projected(p: int, k: int, d: int, batch: int) -> int:
    """The cheapest number of samples: many share the rotation, few have small products."""
    if batch >= BLOCKS[1] and batch > p:
        return batch
    room = (d - p - k) // batch * batch
    sizes = (min(whole_batches(B, batch), room) for B in BLOCKS)
    return min(sizes, key=lambda B: cost(p, k, d, B, True, batch))


def by_batches(p: int, batch: int, block: int) -> bool:
    """Whether a block is one batch, of which outside the span only a matrix of size p is drawn.

    Its samples do not see each other: of all that they have outside the span of the weights only
    their sum, weighted by the steps, matters.
    """
    return batch == block and batch > p


def whole_batches(block: int, batch: int) -> int:
    """The least multiple of the batch that is no smaller than the block."""
    return -(-block // batch) * batch


def cost(p: int, k: int, d: int, block: int, projected: bool = False, batch: int = 1) -> float:
    """Microseconds a step, roughly: random numbers, matrix products, activations, rotation.

    Only the ratio of the two methods matters; the rates were read off one present-day core.
    """
    normal, flop, unit = 3e-3, 2e-5, 0.02
    if not projected:
        return normal * d + flop * d * (4 * p + 2 * k + 2 * block) + unit * (p + k)
    gram = min(p, block) if by_batches(p, batch, block) else block
    width, drawn = p + k + gram, p + k + gram**2 / 2 / block
    products = width * (4 * p + 2 * k + (2 * block if gram == block else 0))
    return normal * drawn + flop * products + unit * (p + k) + rotation(p, gram, block)


def rotation(p: int, gram: int, block: int) -> float:
    """Microseconds a step that it takes to turn p students with so many further columns back."""
    reflection = 3e-4
    return 2 * p**2 * (p + gram) / block * (reflection if p < WIDE else reflection / 4)
