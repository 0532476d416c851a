# A stream of Rowmill in shell: `serve COMMAND` runs a command or a function for each task that the worker sends. It needs a
# POSIX shell, and `base64` of coreutils.
#
#     . ./rowmill_stream.sh
#
#     resize() { convert "$(cat)" -resize 50% out.png && echo out.png >&3; }
#     serve resize
#
# The command meets what a program meets that is started for each task: the param on its standard input, ROWMILL_TASK_ID and
# the others in its environment, its result by descriptor 3, and its exit code says what becomes of the task (0 done, 65 dead at
# once, all else failed). The param is JSON as it stands in the task's line: a text is in quotes. docs/stream.md has the protocol.

serve() {
  if [ "${ROWMILL_STREAM:-plain}" != plain ]; then
    echo "a stream in shell takes no tokens: set in_flight = 1" >&2
    return 1
  fi
  while IFS= read -r line; do
    # The keys of a line always stand in the same order, the param at its end; a quote within a text is written \".
    ROWMILL_TASK_ID=${line#*:} ROWMILL_TASK_ID=${ROWMILL_TASK_ID%%,*}
    ROWMILL_ATTEMPT=${line#*,\"attempt\":} ROWMILL_ATTEMPT=${ROWMILL_ATTEMPT%%,*}
    ROWMILL_MAX_ATTEMPTS=${line#*,\"max_attempts\":} ROWMILL_MAX_ATTEMPTS=${ROWMILL_MAX_ATTEMPTS%%,*}
    ROWMILL_PRIORITY=${line#*,\"priority\":} ROWMILL_PRIORITY=${ROWMILL_PRIORITY%%,*}
    ROWMILL_IDEMPOTENCY_KEY=rowmill-$ROWMILL_TASK_ID
    export ROWMILL_TASK_ID ROWMILL_ATTEMPT ROWMILL_MAX_ATTEMPTS ROWMILL_PRIORITY ROWMILL_IDEMPOTENCY_KEY
    param=${line#*,\"param\":} param=${param%\}}
    # Descriptor 3 is the result, and descriptor 1 the protocol's: what the command prints goes to the log. Its exit code comes
    # out somewhere among the letters of its result.
    said=$(
      exec 4>&1
      printf '%s' "$param" | { ("$@") 3>&1 >&2 4>&-; printf '<%s>' $? >&4; } | base64 | tr -d '\n'
    )
    code=${said#*<} code=${code%%>*}
    case $code in
      0) printf '{"id":%s,"ok":true,"result_base64":"%s"}\n' "$ROWMILL_TASK_ID" "${said%%<*}${said#*>}" ;;
      65) printf '{"id":%s,"ok":false,"reject":true}\n' "$ROWMILL_TASK_ID" ;;
      *) printf '{"id":%s,"ok":false}\n' "$ROWMILL_TASK_ID" ;;
    esac
  done
}
