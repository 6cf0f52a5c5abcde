"""Turning 16 short rows into 16 lanes, and back, in registers.

A row of ten classes fills no vector register, so short rows are transposed and sixteen of them are worked on at once,
a class at a time. A gather costs about a cycle an element; sixteen vector loads and four rounds of sixteen two-source
shuffles do 256 elements in about 70 cycles. Loads and stores past the end of a row or of the last row are masked.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastloss.kernels.memory_cpu import STORAGE, set_scope

WIDTH = 16
_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)


def _shuffle(builder, a, b, indices):
    mask = ir.Constant(ir.VectorType(_I32, WIDTH), [ir.Constant(_I32, i) for i in indices])
    return builder.shuffle_vector(a, b, mask)


def _transposed(builder, vectors):
    # Swap the off-diagonal blocks of ever smaller size: 8x8, 4x4, 2x2, 1x1.
    vectors = list(vectors)
    for size in (8, 4, 2, 1):
        low = [lane if not lane & size else WIDTH + lane - size for lane in range(WIDTH)]
        high = [lane + size if not lane & size else WIDTH + lane for lane in range(WIDTH)]
        for i in range(WIDTH):
            if not i & size:
                a, b = vectors[i], vectors[i + size]
                vectors[i], vectors[i + size] = _shuffle(builder, a, b, low), _shuffle(builder, a, b, high)
    return vectors


def _mask(builder, count):
    lanes = ir.Constant(ir.VectorType(_I64, WIDTH), [ir.Constant(_I64, i) for i in range(WIDTH)])
    return builder.icmp_signed("<", lanes, _splat(builder, count))


def _splat(builder, value):
    vector = ir.VectorType(value.type, WIDTH)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _I32(0))
    return builder.shuffle_vector(
        first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_I32, WIDTH), [_I32(0)] * WIDTH)
    )


def _row(builder, address, stride, rows, row):
    """The address of a row; of the first one where there are fewer."""
    exists = builder.icmp_signed("<", _I64(row), rows)
    offset = builder.select(exists, builder.mul(_I64(row), stride), _I64(0))
    return builder.add(address, offset), exists


def _masked_load(builder, address, scalar, mask):
    vector = ir.VectorType(scalar, WIDTH)
    pointer = builder.inttoptr(address, vector.as_pointer())
    name = f"llvm.masked.load.v{WIDTH}{_suffix(scalar)}.p0"
    function_type = ir.FunctionType(vector, [vector.as_pointer(), _I32, ir.VectorType(_I1, WIDTH), vector])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, [pointer, _I32(1), mask, ir.Constant(vector, None)])


def _masked_store(builder, value, address, mask):
    vector = value.type
    pointer = builder.inttoptr(address, vector.as_pointer())
    name = f"llvm.masked.store.v{WIDTH}{_suffix(vector.element)}.p0"
    function_type = ir.FunctionType(ir.VoidType(), [vector, vector.as_pointer(), _I32, ir.VectorType(_I1, WIDTH)])
    function = builder.module.globals.get(name) or ir.Function(builder.module, function_type, name)
    return builder.call(function, [value, pointer, _I32(1), mask])


def _suffix(scalar):
    return {"half": "f16", "float": "f32", "double": "f64"}.get(str(scalar)) or f"i{scalar.width}"


def _rows_to_lanes(dtype):
    memory, _, widen, _ = STORAGE[dtype]

    @intrinsic
    def rows_to_lanes(typingctx, rows_address, row_stride, rows, columns, tile, tile_stride):
        """Copy ``rows`` x ``columns`` (at most 16 x 16) elements of memory to a tile, column by column.

        Strides in bytes; 16 lanes of each column are written, those past ``rows`` from the first row, and columns
        past ``columns`` are not.
        """

        def codegen(context, builder, signature, args):
            address, stride, rows, columns, tile, tile_stride = args
            mask = _mask(builder, columns)
            vectors = []
            for row in range(WIDTH):
                source, _ = _row(builder, address, stride, rows, row)
                loaded = _masked_load(builder, source, memory, mask)
                set_scope(builder, loaded, "input")
                vectors.append(widen(builder, loaded))
            for column, vector in enumerate(_transposed(builder, vectors)):
                with builder.if_then(builder.icmp_signed("<", _I64(column), columns)):
                    target = builder.add(tile, builder.mul(_I64(column), tile_stride))
                    store = builder.store(vector, builder.inttoptr(target, vector.type.as_pointer()), align=1)
                    set_scope(builder, store, "tile")
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), codegen

    return rows_to_lanes


def _lanes_to_rows(dtype):
    _, register, _, narrow = STORAGE[dtype]
    scalar = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}[register]

    @intrinsic
    def lanes_to_rows(typingctx, tile, tile_stride, rows_address, row_stride, rows, columns):
        """The way back of ``rows_to_lanes``: exactly ``rows`` x ``columns`` elements of memory are written."""

        def codegen(context, builder, signature, args):
            tile, tile_stride, address, stride, rows, columns = args
            vector = ir.VectorType(scalar, WIDTH)
            columns_of_tile = []
            for column in range(WIDTH):
                source, _ = _row(builder, tile, tile_stride, columns, column)
                loaded = builder.load(builder.inttoptr(source, vector.as_pointer()), align=1)
                set_scope(builder, loaded, "tile")
                columns_of_tile.append(loaded)
            mask = _mask(builder, columns)
            for row, value in enumerate(_transposed(builder, columns_of_tile)):
                target, exists = _row(builder, address, stride, rows, row)
                row_mask = builder.and_(mask, _splat(builder, exists))
                store = _masked_store(builder, narrow(builder, value), target, row_mask)
                set_scope(builder, store, "output")
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), codegen

    return lanes_to_rows


_DTYPES = ("float32", "float64", "float16", "bfloat16")
ROWS_TO_LANES = {dtype: _rows_to_lanes(dtype) for dtype in _DTYPES}
LANES_TO_ROWS = {dtype: _lanes_to_rows(dtype) for dtype in _DTYPES}
