"""What runs in the sandbox: tasks that read what strangers uploaded. See `sandbox`, which asks for them.

    __main__.py     waits for tasks, forks, limits the fork
    checkpoint.py   the tensors of a checkpoint, from its headers, or of a plan, from its config
    rows.py         some rows of a split
    columns.py      statistics of a split's columns
    spread.py       how numbers are spread: quartiles, histogram
    tables.py       one file of rows, whatever its format (table.py): parquet.py, lines.py
    values.py       one value as text of bounded length

A task is a function from the JSON it is given to the bytes of an answer. It raises UnfitError for what is wrong with a
file; any other end of its process counts as that too.
"""

# Of the processor, for one task; three times as long on the wall, as the machine may be busy.
CPU_SECONDS = 20
# Of address space beyond what Python and pyarrow take, for one task.
MEMORY = 1 << 30
LARGEST_ANSWER = 64 << 20


class UnfitError(Exception):
    """What was uploaded is not what it must be; its text is one line for people."""
