from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from gatekeeper.batch import SCHEMA
from gatekeeper.batch.checkpoints import Checkpoints
from gatekeeper.errors import DataError, InputError

RUN = {"bundle": "b", "chunk": 2}


def rows(*positions):
    import pyarrow as pa

    versions = {"gatekeeper": "1", "bundle": "b", "classifier": "c"}
    body = [{"position": p, "path": f"{p}.png", **versions} for p in positions]
    return pa.Table.from_pylist(body, schema=SCHEMA)


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out.parquet"


def test_chunks_that_are_whole_are_kept(output):
    with Checkpoints(output, RUN).opened(resume=False) as first:
        first.keep(0, rows(0, 1))
        first.keep(2, rows(4))
    with Checkpoints(output, RUN).opened(resume=True) as again:
        assert again.finished({0: 2, 1: 2, 2: 1}) == {0, 2}
        assert again.finished({0: 3, 2: 1}) == {2}


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\0" * 100])
def test_a_chunk_that_is_damaged_is_computed_again(output, content):
    with Checkpoints(output, RUN).opened(resume=False) as chunks:
        chunks.keep(0, rows(0))
        (chunks.folder / "chunk-00000000.parquet").write_bytes(content)
        assert chunks.finished({0: 1}) == set()


def test_the_output_has_all_rows_in_order_and_then_the_folder_can_go(output):
    chunks, seen = Checkpoints(output, RUN), []
    with chunks.opened(resume=False):
        for index in (1, 2, 0):
            chunks.keep(index, rows(2 * index, 2 * index + 1))
        assert not chunks.is_done()
        chunks.gather(3, seen.append)
        assert not chunks.is_done()
        chunks.make_output()
    assert chunks.is_done()
    chunks.remove()
    assert list(output.parent.iterdir()) == [output]
    table = pq.read_table(output)
    assert table.column("position").to_pylist() == [0, 1, 2, 3, 4, 5]
    assert table.schema.equals(SCHEMA)
    assert [group.column("position").to_pylist() for group in seen] == [[0, 1, 2, 3, 4, 5]]


def test_many_chunks_become_few_row_groups(output, monkeypatch):
    monkeypatch.setattr("gatekeeper.batch.checkpoints._GROUP_ROWS", 4)
    with Checkpoints(output, RUN).opened(resume=False) as chunks:
        for index in range(5):
            chunks.keep(index, rows(2 * index, 2 * index + 1))
        chunks.gather(5, bool)
        chunks.make_output()
    with pq.ParquetFile(output) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sizes == [4, 4, 2]


def test_no_chunks_make_an_empty_table(output):
    with Checkpoints(output, RUN).opened(resume=False) as chunks:
        chunks.gather(0, bool)
        chunks.make_output()
    assert pq.read_table(output).num_rows == 0


def test_a_chunk_that_is_gone_is_told(output):
    with (
        Checkpoints(output, RUN).opened(resume=False) as chunks,
        pytest.raises(DataError, match=r"chunk-00000000.*--resume"),
    ):
        chunks.gather(1, bool)
    assert not output.exists()


def test_an_unfinished_run_is_not_begun_again_unasked(output):
    with Checkpoints(output, RUN).opened(resume=False):
        pass
    with (
        pytest.raises(InputError, match="--resume"),
        Checkpoints(output, RUN).opened(resume=False),
    ):
        pass


def test_another_run_is_not_gone_on_with(output):
    with Checkpoints(output, RUN).opened(resume=False):
        pass
    other = Checkpoints(output, {"bundle": "other", "chunk": 2})
    with pytest.raises(InputError, match="got another bundle"), other.opened(resume=True):
        pass


def test_two_processes_do_not_share_a_run(output):
    with (
        Checkpoints(output, RUN).opened(resume=False),
        pytest.raises(InputError, match="another process"),
        Checkpoints(output, RUN).opened(resume=True),
    ):
        pass


def test_an_output_of_another_run_or_program_is_told(output):
    with Checkpoints(output, RUN).opened(resume=False) as chunks:
        chunks.gather(0, bool)
        chunks.make_output()
    with pytest.raises(InputError, match="got another chunk"):
        Checkpoints(output, {**RUN, "chunk": 3}).is_done()
    for content in (b"text", b""):
        output.write_bytes(content)
        with pytest.raises(InputError, match="none of ours"):
            Checkpoints(output, RUN).is_done()
