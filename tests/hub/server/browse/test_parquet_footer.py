"""Rows and columns of a Parquet file, held against pyarrow."""

import io
from contextlib import suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_axk1.errors import DataError
from modeling_axk1.hub.server.browse.parquet_footer import Footer, read_footer

TYPES = [
    pa.int32(),
    pa.float64(),
    pa.string(),
    pa.bool_(),
    pa.timestamp("us"),
    pa.list_(pa.float32()),
    pa.struct({"x": pa.int64(), "y": pa.struct({"z": pa.string()})}),
    pa.map_(pa.string(), pa.int32()),
]


def parquet(schema: pa.Schema, rows: int) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({field.name: pa.nulls(rows, field.type) for field in schema}, schema=schema)
    pq.write_table(table, buffer, row_group_size=2)
    return buffer.getvalue()


SCHEMAS = st.lists(st.sampled_from(TYPES), min_size=1, max_size=6).map(
    lambda types: pa.schema([(f"열 {number}", type_) for number, type_ in enumerate(types)])
)


@given(SCHEMAS, st.integers(0, 7))
@settings(deadline=None)
def test_it_reads_what_pyarrow_reads(schema, rows):
    content = parquet(schema, rows)
    oracle = pq.ParquetFile(io.BytesIO(content))
    columns = [oracle.schema.column(number) for number in range(len(oracle.schema))]
    assert read_footer(io.BytesIO(content), len(content)) == Footer(
        rows, {column.path: column.physical_type for column in columns}
    )


SOUND = parquet(pa.schema([("a", TYPES[6]), ("b", TYPES[5])]), 3)


@given(st.integers(0, len(SOUND) - 1), st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused(at, byte):
    content = SOUND[:at] + bytes([byte]) + SOUND[at + 1 :]
    with suppress(DataError):
        assert isinstance(read_footer(io.BytesIO(content), len(content)), Footer)


@given(st.binary(max_size=60))
def test_any_footer_is_read_or_refused(footer):
    content = b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1"
    with pytest.raises(DataError):
        # Random bytes are no schema and a row count.
        read_footer(io.BytesIO(content), len(content))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1\xff\xff\xff\x7fPAR1", b"x" * 20])
def test_what_is_no_parquet_file_is_refused(content):
    with pytest.raises(DataError):
        read_footer(io.BytesIO(content), len(content))
