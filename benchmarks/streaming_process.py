"""One process of the streaming benchmarks: it loads a model one way, makes tokens, and says what that cost.

`run` starts it under a memory limit that the kernel holds (a memory control group, below the one we are in), where a
limit is asked for: the page cache of what it reads counts too, so that every way to load has the same memory. A
process that the kernel stops for want of memory is a result, and not an error. What is reported about memory and the
disk comes from the kernel: VmHWM in /proc/self/status, read_bytes in /proc/self/io.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GROUPS = Path("/sys/fs/cgroup")
AGAIN = 5


def run(settings: dict[str, Any], limit: int | None = None) -> dict[str, Any]:
    """Let a fresh process do what `settings` says (see `report`), within `limit` bytes; return what it reports.

    {"stopped": why} if it was killed, or said itself that the memory is too little. Raises SystemExit with its words
    if it failed otherwise.
    """
    command = [sys.executable, __file__, json.dumps(settings)]
    if limit is None:
        return _result(subprocess.run(command, capture_output=True, text=True), False)
    with memory_group(limit) as group:
        join = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs")]
        done = subprocess.run([*join, *command], capture_output=True, text=True)
        return _result(done, _killed_for_memory(group))


def _result(done: subprocess.CompletedProcess[str], killed: bool) -> dict[str, Any]:
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if killed or "can't allocate memory" in done.stderr or "memory must be at least" in done.stderr:
        return {"stopped": "out of memory"}
    raise SystemExit(f"a process failed with {done.returncode}: {done.stderr[-4000:]}")


@contextmanager
def memory_group(limit: int) -> Iterator[Path]:
    """Make a group whose processes together get `limit` bytes; raises SystemExit where the kernel lets us make none."""
    parent, setting = _own_group()
    group = parent / f"axk1-benchmark-{os.getpid()}"
    try:
        group.mkdir()
        (group / setting).write_text(str(limit))
    except OSError as error:
        raise SystemExit(f"a memory limit needs a memory control group, and none could be made: {error}") from None
    try:
        yield group
    finally:
        group.rmdir()


def _own_group() -> tuple[Path, str]:
    """Return the group that we are in, and the file in which a group's limit stands."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return GROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
    return GROUPS / path.lstrip("/"), "memory.max"


def _killed_for_memory(group: Path) -> bool:
    events = next(group / name for name in ("memory.oom_control", "memory.events") if (group / name).exists())
    return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in events.read_text().splitlines())


def forget(folders: Iterable[Path]) -> None:
    """Take files, which must have been written out, from the page cache, so that the next read comes from the disk."""
    for folder in folders:
        for path in filter(Path.is_file, folder.rglob("*")):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def kernel_counts() -> dict[str, int]:
    """Return bytes: this process's memory now and at its highest, and what it has read from the disk."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    traffic = dict(line.split(":", 1) for line in Path("/proc/self/io").read_text().splitlines())
    now, peak = (int(status[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    return {
        "memory": now,
        "peak": peak,
        "disk": int(traffic["read_bytes"]),
        "disk_written": int(traffic["write_bytes"]),
    }


def load(settings: dict[str, Any]) -> Any:
    """Load as `settings["who"]` says: "ours" with what `from_pretrained` takes, "native", or "native offloaded"."""
    if settings["who"] == "ours":
        from modeling_axk1 import AXK1ForCausalLM

        return AXK1ForCausalLM.from_pretrained(settings["folder"], **settings.get("options", {}))
    from transformers.models.axk1.modeling_axk1 import AXK1ForCausalLM as Native

    options: dict[str, Any] = {"dtype": "bfloat16"}
    if settings["who"] == "native offloaded":
        places = {"max_memory": {"cpu": settings["weights_memory"]}, "offload_folder": settings["offload_folder"]}
        options |= {"device_map": "auto", **places}
    return Native.from_pretrained(settings["folder"], **options)


def report(settings: dict[str, Any]) -> dict[str, Any]:
    """Load, read a prompt and make tokens in this process.

    `settings`: folder, who and its options as for `load`, prompt (its tokens' ids), tokens (how many to make), and
    perhaps text: what is fed in place of what the model says, and again: whether one token is run `AGAIN` times more,
    with all that it needs in memory.
    """
    import torch

    torch.nn.functional.linear(torch.ones(8, 8), torch.ones(8, 8))  # what the first product of a process sets up
    before, started = kernel_counts(), time.perf_counter()
    model = load(settings)
    seconds, loaded = time.perf_counter() - started, kernel_counts()
    passes: list[dict[str, float]] = []
    ids, cache, said = torch.tensor([settings["prompt"]]), None, []
    again = []
    with torch.no_grad():
        for number in range(1 + settings["tokens"]):
            had, disk, started = _counts(model), kernel_counts()["disk"], time.perf_counter()
            out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache, ids = out.past_key_values, out.logits[:, -1:].argmax(-1)
            said.append(int(ids))
            if "text" in settings:
                ids = torch.tensor([[settings["text"][number]]])
            one = {"seconds": time.perf_counter() - started, "disk": kernel_counts()["disk"] - disk}
            passes.append(one | {name: count - had[name] for name, count in _counts(model).items()})
        for _ in range(AGAIN + 1 if settings.get("again") else 0):
            started = time.perf_counter()
            model(ids, use_cache=False)
            again.append(time.perf_counter() - started)
    plan = getattr(getattr(model, "streamed", None), "plan", None)
    return {
        "seconds_to_load": round(seconds, 2),
        "disk_to_load": loaded["disk"] - before["disk"],
        "written_to_load": loaded["disk_written"] - before["disk_written"],
        "memory_before_bytes": before["memory"],
        "peak_bytes": kernel_counts()["peak"],
        **(_planned(plan) if plan else {}),
        "tokens_per_second": round(settings["tokens"] / sum(each["seconds"] for each in passes[1:]), 4),
        "prompt": _rounded(passes[0]),
        "token": _rounded({name: _middle(name, passes[1:]) for name in passes[0]}),
        "passes": [_rounded(each) for each in passes],
        **({"seconds_of_a_token_again": round(statistics.median(again[1:]), 4)} if again else {}),
        "said": said,
    }


def _planned(plan: Any) -> dict[str, Any]:
    held = {"plan_fixed_bytes": plan.fixed_bytes, "plan_expert_slots": plan.expert_slots}
    return {"plan_bytes": plan.total, **held, "plan": str(plan).splitlines()}


def _counts(model: Any) -> dict[str, float]:
    """Return what a streamed model counts of its experts and of its rest, {} of any other."""
    streamed = getattr(model, "streamed", None)
    if streamed is None:
        return {}
    both = [pieces.counts for pieces in (streamed.experts, streamed.rest) if pieces is not None]
    experts = streamed.experts.counts
    return {
        "bytes_read": sum(counts.bytes_read for counts in both),
        "seconds_waited": sum(counts.seconds_waited for counts in both),
        **{name: getattr(experts, name) for name in ("hits", "misses", "guessed", "guessed_right")},
    }


def _middle(name: str, passes: list[dict[str, float]]) -> float:
    """Return the median of seconds, which others on the machine disturb, and the mean of what is counted."""
    values = [each[name] for each in passes]
    return statistics.median(values) if name == "seconds" else statistics.mean(values)


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    print(json.dumps(report(json.loads(sys.argv[1]))))
