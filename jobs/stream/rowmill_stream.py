"""A stream of Rowmill in Python: `serve` runs a function for each task that the worker sends. It needs Python 3.8 alone.

    import rowmill_stream

    def resize(param, task):
        return {"width": param["width"] // 2}      # the result: None, text, bytes, or anything that has a JSON

    rowmill_stream.serve(resize)

`task` is the task's line as a dict: id, job, attempt, max_attempts, priority, worker, idempotency_key, codec. An exception is
a failed attempt, tried again later; Reject says that no attempt can succeed, Snooze that it is too early. What the function
prints goes to the log. docs/stream.md has the protocol.
"""

import base64
import json
import os
import sys
import traceback


class Reject(Exception):
    """No attempt can succeed: the task is dead at once."""


class Snooze(Exception):
    """Not yet: the task runs again after `ms` milliseconds. That costs no attempt."""

    def __init__(self, ms):
        super().__init__(ms)
        self.ms = ms


def serve(handle):
    """Calls `handle(param, task)` for each task, until the worker closes the standard input."""
    # The answers have the standard output for themselves: what is printed goes to the standard error, and so to the log.
    answers = os.dup(1)
    os.dup2(2, 1)
    lines = sys.stdin.buffer
    tokens = os.environ.get("ROWMILL_STREAM") == "tokens"
    while True:
        if not tokens:
            line = lines.readline()
        else:
            # Before it begins a task, it takes the task's token. A line before that of the token was called back.
            token = os.read(3, 1)
            mark = b',"token":%d,' % token[0] if token else b""
            line = lines.readline() if token else b""
            while line and mark not in line[:40]:
                line = lines.readline()
        if not line:
            return
        _answer(answers, _run(handle, line))


def _run(handle, line):
    task = None
    try:
        task = json.loads(line.decode())
        if "param_base64" in task:
            task["param"] = base64.b64decode(task["param_base64"])
        result = handle(task["param"], task)
        if result is None:
            return b'{"id":%d,"ok":true}\n' % task["id"]
        if isinstance(result, (bytes, bytearray)):
            answer = {"id": task["id"], "ok": True, "result_base64": base64.b64encode(result).decode()}
        else:
            answer = {"id": task["id"], "ok": True, "result": result}
        return json.dumps(answer).encode() + b"\n"
    except Snooze as e:
        return json.dumps({"id": task["id"], "ok": False, "snooze_ms": int(e.ms)}).encode() + b"\n"
    except Exception as e:
        if task is None:
            # Nested too deeply for this language, say. The id always stands first.
            task, e = {"id": int(line[6 : line.index(b",")])}, Reject(f"its line cannot be read: {e}")
        reject = isinstance(e, Reject)
        if not reject:
            traceback.print_exc()
        words = str(e) if reject else f"{type(e).__name__}: {e}"
        answer = {"id": task["id"], "ok": False, "error": words, "reject": reject}
        return json.dumps(answer).encode() + b"\n"


def _answer(answers, line):
    sys.stdout.flush()
    while line:
        line = line[os.write(answers, line) :]
