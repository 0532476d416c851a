#!/bin/sh
# A sample job in shell: compresses a file of the folder `inbox` into the folder `archive`.
#
#     INSERT INTO queue (job, param, codec) VALUES ('compress.sh', 'report.csv', 'text');
#
# It may run twice for one task (when the machine dies in between), so it does what is left to do and no more.
set -eu

name=$(cat)   # the param, as it is
case $name in
  '' | */* | .*)
    echo "'$name' is no name of a file in inbox" >&2
    exit 65   # EX_DATAERR: no attempt can succeed, so there is no other
    ;;
esac
if [ -e "archive/$name.gz" ] && [ ! -e "inbox/$name" ]; then
  echo "$name was compressed before"
  exit 0
fi
if [ ! -e "inbox/$name" ]; then
  echo "$name has not arrived yet" >&2
  exit 75   # EX_TEMPFAIL: try again later
fi

mkdir -p archive
# Under a name of this task's own until it is whole. The key is the same for every attempt.
gzip -c "inbox/$name" > "archive/.$ROWMILL_IDEMPOTENCY_KEY"
mv "archive/.$ROWMILL_IDEMPOTENCY_KEY" "archive/$name.gz"
rm "inbox/$name"
echo "$name is compressed, by task $ROWMILL_TASK_ID, attempt $ROWMILL_ATTEMPT of $ROWMILL_MAX_ATTEMPTS"
