# Runs a systemd of a user's (`systemd --user`) where it touches nothing of this machine: in a mount namespace of its own, which
# the caller has made private (unshare --mount --propagation private), in a cgroup of its own, and with no other units than
# those in /run/units: so none of the distribution's runs, nor anything else that a machine does when it boots.
#
#   $1  the systemd program
#   $2  a unit that is to run there: one whose sandbox cannot be had here is none for this machine
#   $3  a folder that it is to see in its sandbox, which hides /tmp
#
# Prints `up PID` when it answers: /proc/PID/root/run/user is its XDG_RUNTIME_DIR, /proc/PID/root/run/units are its
# units. Otherwise says on standard error why not, and exits with 1. Ends when its standard input ends, so also when the
# test is killed; then it kills everything in its cgroup, and removes that.
set -eu
umask 022
group=rowmill-test-$$
trees=

everything() { for tree in $trees; do find "$tree" -name cgroup.procs -exec cat {} +; done 2> /dev/null; }
leave() {
  status=$1
  tries=0
  while [ -n "$(everything)" ] && [ "$tries" -lt 200 ]; do
    tries=$((tries + 1))
    for pid in $(everything); do kill -KILL "$pid" 2> /dev/null || true; done
    sleep 0.05
  done
  for tree in $trees; do
    find "$tree" -depth -type d -exec rmdir {} \; || status=1
  done
  exit "$status"
}

for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
  if [ -e "$tree/cgroup.procs" ]; then
    mkdir "$tree/$group" || leave 1
    trees="$trees $tree/$group"
  fi
done

mount -t tmpfs -o mode=0755 rowmill-systemd /run || leave 1
mkdir -p /run/systemd/system  # by this systemd knows that one may run here
mkdir /run/units
mkdir -m 700 /run/user
# The targets that units name, with nothing behind them.
for target in basic sysinit shutdown exit timers multi-user; do
  printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' "$target" > "/run/units/$target.target"
done

systemd_in_cgroup() {
  for tree in $trees; do echo "$self" > "$tree/cgroup.procs" || exit 1; done
  cd /
  exec env -i PATH="$PATH" HOME=/run XDG_RUNTIME_DIR=/run/user SYSTEMD_UNIT_PATH=/run/units \
    SYSTEMD_GENERATOR_PATH=/nowhere SYSTEMD_USER_ENVIRONMENT_GENERATOR_PATH=/nowhere "$1" --user --unit=basic.target --log-target=console
}
# A subshell does not know its own number but by asking.
(self=$(exec sh -c 'echo $PPID'); systemd_in_cgroup "$1") < /dev/null >&2 &
daemon=$!
tries=0
until XDG_RUNTIME_DIR=/run/user systemctl --user is-active --quiet basic.target 2> /dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -gt 600 ] || ! kill -0 "$daemon" 2> /dev/null; then
    echo "systemd did not start" >&2
    leave 1
  fi
  sleep 0.05
done
# A machine's first systemd makes these; what the sandbox hides is covered with them.
cp -a /run/user/systemd/inaccessible /run/systemd/ || leave 1
{
  printf '[Service]\nType=oneshot\nExecStart=/bin/ls -d "%s"\n' "$3"
  grep -E '^(NoNew|Protect|Private|Lock|Restrict[AR])' "$2"
} > /run/units/probe.service
if ! XDG_RUNTIME_DIR=/run/user timeout 60 systemctl --user start probe.service; then
  echo "the sandbox of $2 cannot be had here, or hides $3" >&2
  leave 1
fi
echo "up $daemon"

cat > /dev/null  # until the test lets go
leave 0
