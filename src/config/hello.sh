#!/bin/sh
# A sample job: executable files in this folder are jobs with the name of the file, so this one is `hello`. Try it:
#
#     rowmill enqueue hello '{"who":"world"}'
#
# The task's param comes on standard input; what the job should know about the task is in its environment. What is
# printed goes to the log of the day, line by line.
#
# The exit code says what becomes of the task:
#     0   done
#     75  not now: try again later
#     65  the param is wrong: do not try again
#     else, or killed by a signal: failed; tried again by the retry policy, until its attempts are used up

param=$(cat)
printf 'hello from task %s, which was given: %s\n' "$ROWMILL_TASK_ID" "$param"
exit 0
