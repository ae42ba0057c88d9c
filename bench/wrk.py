"""wrk as a load generator: as many requests as a few connections can get answered, one after the other on each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.figures import Figures
from bench.request import Request

GRACE = 30.0
SCRIPT = """
local function contents(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read("*all")
  file:close()
  return bytes
end

local folder, variants, turn = os.getenv("BENCH_FOLDER"), {}, 0
for path, body in contents(folder .. "/variants"):gmatch("([^\\t]+)\\t([^\\n]+)\\n") do
  variants[#variants + 1] = {path, contents(folder .. "/" .. body)}
end
wrk.method, wrk.path, wrk.body = os.getenv("BENCH_METHOD"), variants[1][1], variants[1][2]
for name, value in contents(folder .. "/headers"):gmatch("([^\\t]+)\\t([^\\n]*)\\n") do wrk.headers[name] = value end

if #variants > 1 then
  local messages = {}
  init = function()
    for number, variant in ipairs(variants) do
      messages[number] = wrk.format(nil, variant[1], nil, variant[2])
    end
  end
  request = function()
    turn = turn % #messages + 1
    return messages[turn]
  end
end

done = function(summary, latency)
  local errors = summary.errors
  print(string.format('RESULT {"requests": %d, "seconds": %f, "refused": %d, "failed": %d,'
    .. ' "p50_ms": %f, "p99_ms": %f, "p999_ms": %f}',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency:percentile(99.9) / 1e3))
end
"""


def is_there() -> bool:
    return shutil.which("wrk") is not None


def load(url: str, request: Request, connections: int, seconds: float) -> Figures:
    """Send for so long (whole seconds, at least one). Raises RuntimeError, TimeoutExpired."""
    duration = max(1, round(seconds))
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="iuserver-bench-") as folder:
        script = _write(Path(folder), request)
        command = ["wrk", "-t1", f"-c{connections}", f"-d{duration}s", "--timeout", f"{GRACE:.0f}s", "-s", script, url]
        environment = {**os.environ, "BENCH_FOLDER": folder, "BENCH_METHOD": request.method}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=duration + GRACE)
    if done.returncode or "RESULT" not in done.stdout:
        raise RuntimeError(f"wrk: {done.stdout}{done.stderr}")
    figures: Figures = json.loads(done.stdout.partition("RESULT ")[2])
    return {"per_second": figures["requests"] / figures.pop("seconds"), **figures}


def _write(folder: Path, request: Request) -> str:
    names: dict[bytes, str] = {}
    lines = []
    for path, body in request.variants:
        name = names.setdefault(body, f"body{len(names)}")
        lines.append(f"{path}\t{name}\n")
    for body, name in names.items():
        (folder / name).write_bytes(body)
    (folder / "variants").write_text("".join(lines))
    (folder / "headers").write_text("".join(f"{name}\t{value}\n" for name, value in request.first_headers().items()))
    (folder / "script.lua").write_text(SCRIPT)
    return str(folder / "script.lua")
