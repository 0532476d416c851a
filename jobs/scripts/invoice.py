#!/usr/bin/env python3
"""A sample job in Python: writes an invoice into the folder `invoices`.

    INSERT INTO queue (job, param) VALUES ('invoice.py', '{"order": 7, "cents": [1200, 350]}');

It may run twice for one task (when the machine dies in between): the invoice bears the task's key, and is written once.
"""

import json
import os
import sys

RETRY, REJECT = 75, 65  # EX_TEMPFAIL: try again later. EX_DATAERR: no attempt can succeed, so there is no other.


def fail(code, words):
    # The last lines on standard error become the task's `error`.
    print(words, file=sys.stderr)
    sys.exit(code)


try:
    param = json.load(sys.stdin)
    order, total = int(param["order"]), sum(int(cents) for cents in param["cents"])
except (ValueError, KeyError, TypeError) as e:
    fail(REJECT, f"the param is no order: {e!r}")

name = os.path.join("invoices", os.environ["ROWMILL_IDEMPOTENCY_KEY"])
try:
    # Under another name until it is whole.
    with open(name + ".part", "w", encoding="utf-8") as file:
        file.write(f"order {order}: {total / 100:.2f}\n")
    os.replace(name + ".part", name)
except FileNotFoundError:
    fail(RETRY, "the folder invoices is not there; is its disk mounted?")
print(f"order {order} is invoiced, by task {os.environ['ROWMILL_TASK_ID']}")
