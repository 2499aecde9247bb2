"""A process that others kill: it imports once, then carries out in a fork of itself what each line on stdin asks for.

A line is {"call": "reshard" or "convert" or "fetch", "arguments": {...}}. The answer is the fork's number when its work
begins; the caller may kill it. An empty line then asks how it ended: "done", "killed" or "failed".
"""

import json
import os
import sys
from pathlib import Path

import torch

from modeling_axk1.weights import execute
from modeling_axk1.weights.convert import Conversion, convert
from modeling_axk1.weights.fetch import Part, fetch
from modeling_axk1.weights.order import Sharding
from modeling_axk1.weights.reshard import reshard

# Small pieces and many notes of how far it is, so that a kill finds work of every kind half done.
execute._LARGEST_CHUNK = 2**16
execute._FLUSH_BYTES = 2**18
execute._NOTE_BYTES = 2**18


def carry_out(call: str, arguments: dict) -> None:
    source, out = arguments["source"], Path(arguments["out"])
    sharding = Sharding(**arguments.get("sharding", {}))
    if call == "reshard":
        reshard(Path(source), out, sharding)
    elif call == "convert":
        convert(Path(source), out, Conversion(**arguments["conversion"]), sharding)
    else:
        fetch(source, out, Part(**arguments["part"]), sharding)


def main() -> None:
    torch.set_num_threads(1)  # threads of the parent would be missing in a fork
    while line := sys.stdin.readline():
        request = json.loads(line)
        child = os.fork()
        if not child:
            carry_out(request["call"], request["arguments"])
            os._exit(0)
        print(child, flush=True)
        sys.stdin.readline()  # until then the number is the child's own, whatever became of it
        _, status = os.waitpid(child, 0)
        print("done" if status == 0 else "killed" if os.WIFSIGNALED(status) else "failed", flush=True)


if __name__ == "__main__":
    main()
