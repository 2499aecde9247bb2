"""How large the pieces are that a corpus is cut into."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Bytes of text in the files of raw documents, in the shards, and in a shard's row groups; each may go over a bit.

    A process holds one file, or one row group. They decide about the bytes of the shards, so all builds of a dataset
    must have the same.

    - `file`: what a worker does at a time: enough to be worth a process's while, little enough to be done again.
    - `shard`: some seconds of work, and of a download that may have to be done again.
    - `row_group`: what a reader holds at a time, and what the hub's viewer reads for one page.
    """

    file: int = 16_000_000
    shard: int = 256_000_000
    row_group: int = 16_000_000
