"""Constants fitted to measured accepts at boot, by least squares of relative residuals.

With the serial share fixed, a boot's time is linear in the other constants; the share itself is searched. What the data
leave open stays as near to the model that one starts from as it can, in proportion.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import Final
from tdvfsh.td.cost.constants import Constant
from tdvfsh.td.cost.model import AcceptCounts, CostModel

FITTED: Final = ("accept_4k", "accept_2m", "td_exit", "rejected_call")
SHARE: Final = "serial_share"
_RIDGE: Final = 1e-9
_OPEN: Final = 1e-5
"""Directions in which the sum of squares grows by less than this part of its steepest growth are open."""
_SLIGHT: Final = 3e-3
"""A constant that makes less than this part of every measurement is not fitted."""
_PART: Final = 0.02
_GRID: Final = 50
_REFINED: Final = 60
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Measured:
    """One boot of which the time of its accepts at boot is known.

    Attributes:
        name: As its user calls it.
        work: What is accepted, with the number of vCPUs and the share of the busiest of them.
        seconds: What was measured.
        fixed: Seconds of it that do not accept.
    """

    name: str
    work: tuple[tuple[AcceptCounts, int, float], ...]
    seconds: float
    fixed: float = 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """The result.

    Attributes:
        model: The constants.
        fitted: Seconds of each measurement with them, in order.
        free: Constants that were fitted.
        absent: Those of them that no measurement depends on to speak of: they are as they were.
        together: Groups of them that the data cannot tell apart: only a combination of each group is known.
        deviation: The relative residual, root mean square.
        is_determined: Whether there are more measurements than constants that they determine.
    """

    model: CostModel
    fitted: tuple[float, ...]
    free: tuple[str, ...]
    absent: tuple[str, ...]
    together: tuple[tuple[str, ...], ...]
    deviation: float
    is_determined: bool


def fit(start: CostModel, measurements: Sequence[Measured], held: Sequence[str] = (), name: str = "fitted") -> Fit:
    """Fit constants to measurements.

    Args:
        start: The model that one starts from: what the data leave open stays near it.
        measurements: At least one.
        held: Constants that are known, and stay as ``start`` has them.
        name: What the model is called.

    Raises:
        UsageError: There is nothing to fit, or a measured time is not above its fixed part.
    """
    free = [one for one in FITTED if one not in held]
    if not measurements:
        raise UsageError("no measurements: give at least one")
    if not free:
        raise UsageError("nothing to fit: all constants are given")
    for one in measurements:
        if one.seconds <= one.fixed:
            raise UsageError(f"{one.name}: the measured time is not above its fixed part")
    values = {one: constant.likely for one, constant in start.constants.items()}
    shares = SHARE not in held and any(vcpus > 1 for one in measurements for _, vcpus, _ in one.work)

    slight = _slight(values, free, measurements)
    free = [one for one in free if one not in slight]
    if not free:
        raise UsageError("nothing to fit: the measurements depend on none of the constants that are not given")

    def solved(share: float) -> tuple[float, dict[str, float]]:
        chosen = _linear(values | {SHARE: share}, free, measurements)
        return _squares(chosen, measurements), chosen

    best = _search(lambda share: solved(share)[0]) if shares else values[SHARE]
    if shares and solved(best)[0] >= solved(values[SHARE])[0] * (1 - 1e-9):
        best = values[SHARE]
    squares, chosen = solved(best)
    names = (*free, *slight, SHARE) if shares else (*free, *slight)
    jacobian = _jacobian(chosen, names, measurements)
    absent = slight
    groups, rank = _open_groups(jacobian, names, absent)
    absent += tuple(group[0] for group in groups if len(group) == 1)
    groups = tuple(group for group in groups if len(group) > 1)
    determined = len(measurements) > rank
    deviation = (squares / max(1, len(measurements) - rank)) ** 0.5
    known = tuple(one for one in names if one not in absent)
    model = _model(start, chosen, known, 2 * deviation if determined else None, len(measurements), name)
    return Fit(
        model=model,
        fitted=tuple(one.fixed + _seconds(chosen, one) for one in measurements),
        free=names,
        absent=absent,
        together=groups,
        deviation=deviation,
        is_determined=determined,
    )


def _slight(values: dict[str, float], free: Sequence[str], measurements: Sequence[Measured]) -> tuple[str, ...]:
    """Constants on which no measurement depends to speak of."""
    weights = [_weights(values[SHARE], one) for one in measurements]
    return tuple(
        name
        for name in free
        if all(
            line[name] * max(values[name], 1.0) <= _SLIGHT * (one.seconds - one.fixed)
            for line, one in zip(weights, measurements, strict=True)
        )
    )


def _counts(work: AcceptCounts) -> dict[str, int]:
    return {
        "accept_4k": work.pages_4k,
        "accept_2m": work.pages_2m,
        "td_exit": work.td_exits,
        "rejected_call": work.calls - work.pages_4k - work.pages_2m,
    }


def _weights(share: float, one: Measured) -> dict[str, float]:
    """Seconds of a measurement for each nanosecond of a constant."""
    sums = dict.fromkeys(FITTED, 0.0)
    for work, vcpus, largest in one.work:
        part = share + (1 - share) * largest if vcpus > 1 else 1.0
        for name, count in _counts(work).items():
            sums[name] += count * part / 1e9
    return sums


def _seconds(values: dict[str, float], one: Measured) -> float:
    return sum(weight * values[name] for name, weight in _weights(values[SHARE], one).items())


def _squares(values: dict[str, float], measurements: Sequence[Measured]) -> float:
    return sum(((_seconds(values, one) + one.fixed) / one.seconds - 1) ** 2 for one in measurements)


def _linear(values: dict[str, float], free: Sequence[str], measurements: Sequence[Measured]) -> dict[str, float]:
    """The best values of the free constants, none below 0, in multiples of what they were."""
    left = list(free)
    while True:
        rows, wanted = [], []
        for one in measurements:
            weights = _weights(values[SHARE], one)
            rest = sum(weight * values[name] for name, weight in weights.items() if name not in left)
            rows.append([weights[name] * max(values[name], 1.0) / one.seconds for name in left])
            wanted.append((one.seconds - one.fixed - rest) / one.seconds)
        found = dict(zip(left, _ridge(rows, wanted), strict=True))
        below = [name for name in left if found[name] < 0]
        if not below:
            return values | {name: factor * max(values[name], 1.0) for name, factor in found.items()}
        values = values | dict.fromkeys(below, 0.0)
        left = [name for name in left if name not in below]
        if not left:
            return values


def _ridge(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Least squares with a pull towards 1 that is felt only where the data say nothing."""
    size = len(rows[0])
    normal = [[sum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]
    right = [sum(row[i] * value for row, value in zip(rows, wanted, strict=True)) for i in range(size)]
    pull = _RIDGE * max(max(normal[i][i] for i in range(size)), 1e-30)
    for i in range(size):
        normal[i][i] += pull
        right[i] += pull
    return _solved(normal, right)


def _solved(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda at: abs(rows[at][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for at in range(column + 1, size):
            factor = rows[at][column] / rows[column][column]
            rows[at] = [mine - factor * other for mine, other in zip(rows[at], rows[column], strict=True)]
    found = [0.0] * size
    for at in range(size - 1, -1, -1):
        known = sum(rows[at][column] * found[column] for column in range(at + 1, size))
        found[at] = (rows[at][size] - known) / rows[at][at]
    return found


def _search(squares: Callable[[float], float]) -> float:
    """The share from 0 to 1 with the least sum of squares: a grid, then golden section around its best point."""
    at = min(range(_GRID + 1), key=lambda number: squares(number / _GRID))
    low, high = max(0, at - 1) / _GRID, min(_GRID, at + 1) / _GRID
    for _ in range(_REFINED):
        first, second = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, second) if squares(first) <= squares(second) else (first, high)
    return (low + high) / 2


def _jacobian(values: dict[str, float], names: Sequence[str], measurements: Sequence[Measured]) -> list[list[float]]:
    """Relative change of each measurement for a relative change of each constant."""
    lines = []
    for one in measurements:
        weights = _weights(values[SHARE], one)
        slope = sum(
            weight * values[name]
            for name, weight in _slopes(one).items()
        )  # fmt: skip
        line = [weights[name] * max(values[name], 1.0) for name in names if name != SHARE]
        if SHARE in names:
            line.append(slope * max(values[SHARE], 0.01))
        lines.append([value / one.seconds for value in line])
    return lines


def _slopes(one: Measured) -> dict[str, float]:
    """How the weights change with the serial share."""
    none, all_of_it = _weights(0.0, one), _weights(1.0, one)
    return {name: all_of_it[name] - none[name] for name in FITTED}


def _open_groups(
    jacobian: Sequence[Sequence[float]], names: Sequence[str], absent: Sequence[str]
) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Constants that can change, alone or together, and hardly change the sum of squares; and the rank of the rest."""
    kept = [index for index, name in enumerate(names) if name not in absent]
    if not kept:
        return (), 0
    normal = [[sum(line[i] * line[j] for line in jacobian) for j in kept] for i in kept]
    values, vectors = _eigen(normal)
    groups: list[set[str]] = []
    rank = 0
    for number, value in enumerate(values):
        if value > _OPEN * max(values):
            rank += 1
            continue
        members = {names[kept[at]] for at in range(len(kept)) if abs(vectors[at][number]) > _PART}
        for group in [one for one in groups if one & members]:
            members |= group
            groups.remove(group)
        groups.append(members)
    return tuple(tuple(name for name in names if name in group) for group in groups), rank


def _eigen(matrix: list[list[float]]) -> tuple[list[float], list[list[float]]]:
    """Eigenvalues of a symmetric matrix and its eigenvectors as columns, by Jacobi's rotations."""
    size = len(matrix)
    rows = [list(line) for line in matrix]
    vectors = [[float(i == j) for j in range(size)] for i in range(size)]
    for _ in range(60 * size):
        pairs = [(i, j) for i in range(size) for j in range(i + 1, size)]
        if not pairs:
            break
        p, q = max(pairs, key=lambda pair: abs(rows[pair[0]][pair[1]]))
        if abs(rows[p][q]) < 1e-300:
            break
        theta = (rows[q][q] - rows[p][p]) / (2 * rows[p][q])
        t = (1 if theta >= 0 else -1) / (abs(theta) + (theta * theta + 1) ** 0.5)
        c = 1 / (t * t + 1) ** 0.5
        s = t * c
        for table in (rows, vectors):
            for line in table:
                line[p], line[q] = c * line[p] - s * line[q], s * line[p] + c * line[q]
        first, second = rows[p], rows[q]
        rows[p] = [c * a - s * b for a, b in zip(first, second, strict=True)]
        rows[q] = [s * a + c * b for a, b in zip(first, second, strict=True)]
    return [rows[i][i] for i in range(size)], vectors


def _model(
    start: CostModel, values: dict[str, float], known: Sequence[str], spread: float | None, count: int, name: str
) -> CostModel:
    constants = dict(start.constants)
    for one in known:
        before, likely = constants[one], values[one]
        if spread is not None:
            low, high = likely * max(0.0, 1 - spread), likely * (1 + spread)
        else:
            low, high = (
                (likely * before.low / before.likely, likely * before.high / before.likely)
                if before.likely
                else (likely, likely)
            )
        most = 1.0 if one == SHARE else high
        source = f"fitted to {count} measurement{'s' if count != 1 else ''} by tdvfsh cost fit"
        constants[one] = Constant(low, likely, min(high, most), source, observed_vcpus=before.observed_vcpus)
    return replace(start, name=name, constants=constants, summary="fitted by tdvfsh cost fit")
