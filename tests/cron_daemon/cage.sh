# Runs Debian's cron where nothing outside can see it: in a mount namespace of its own, which the caller has made private
# (unshare --mount --propagation private), with crontabs, configuration and pid file of its own.
#
#   $1  an empty folder: the cage's own files lie there, in memory, seen from inside only
#   $2  whose crontab it is
#   $3  the crontab
#   $4  the cron program
#
# Prints `up PID` when the daemon stands. Ends when its standard input ends, so also when the test is killed; then it
# kills everything in its namespace, and with that whatever the crontab's lines have started, detached or not.
set -eu
umask 022
mount -t tmpfs -o mode=0755 rowmill-cron "$1"
mkdir "$1/crontabs" "$1/cron.d" "$1/run"
: > "$1/crontab"
printf '%s' "$3" > "$1/crontabs/$2"
chmod 600 "$1/crontabs/$2"  # cron refuses any other mode

run=$(readlink -f /var/run)
mount --bind "$1/crontabs" /var/spool/cron/crontabs
mount --bind "$1/cron.d" /etc/cron.d
mount --bind "$1/crontab" /etc/crontab  # what calls cron.hourly and its like
mount --bind "$1/run" "$run"            # crond.pid; the socket of the journal is hidden with it
if [ -S /dev/log ]; then
  mount --bind /dev/null /dev/log       # the machine's log says nothing about our tests
fi

env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$4" -f < /dev/null >&2 &
daemon=$!
tries=0
until [ -s "$run/crond.pid" ]; do
  tries=$((tries + 1))
  if [ "$tries" -gt 600 ] || ! kill -0 "$daemon"; then
    echo "cron did not start" >&2
    kill -KILL "$daemon" 2> /dev/null || true
    exit 1
  fi
  sleep 0.05
done
echo "up $daemon"

cat > /dev/null  # until the test lets go

own=$(readlink "/proc/$$/ns/mnt")
tries=0
left=1
while [ "$left" = 1 ] && [ "$tries" -lt 200 ]; do
  tries=$((tries + 1))
  left=0
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    if [ "$pid" != $$ ] && [ "$(readlink "$process/ns/mnt" 2> /dev/null)" = "$own" ]; then
      kill -KILL "$pid" 2> /dev/null || true
      left=1
    fi
  done
  [ "$left" = 0 ] || sleep 0.05
done
exit "$left"
