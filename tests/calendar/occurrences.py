"""What croniter says. Each line of standard input asks for one run of occurrences, each line of standard output answers.

{"cron": …, "zone": …, "from": s, "until": s, "most": n}  ->  [s, …]: the occurrences after `from`, up to `until`
{"zone": …, "offsets": [[s, offset], …]}                  ->  true when this machine's zone data says the same
"""

import datetime
import json
import sys
from zoneinfo import ZoneInfo

from croniter import croniter


def moment(seconds, zone):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).astimezone(zone)


for line in sys.stdin:
    asked = json.loads(line)
    zone = ZoneInfo(asked["zone"])
    if "offsets" in asked:
        answer = all(moment(at, zone).utcoffset().total_seconds() == offset for at, offset in asked["offsets"])
    else:
        answer = []
        each = croniter(asked["cron"], moment(asked["from"], zone), second_at_beginning=True)
        while len(answer) < asked["most"]:
            at = int(each.get_next(float))
            if at > asked["until"]:
                break
            answer.append(at)
    print(json.dumps(answer), flush=True)
