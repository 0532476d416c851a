<?php
// A stream of Rowmill in PHP: Rowmill\serve runs a function for each task that the worker sends. It needs PHP 8.0 alone.
//
//     require 'rowmill_stream.php';
//
//     Rowmill\serve(function (mixed $param, array $task): mixed {
//         return ['width' => intdiv($param['width'], 2)];      // the result: null, a text, or anything that has a JSON
//     });
//
// $task is the task's line as an array: id, job, attempt, max_attempts, priority, worker, idempotency_key, codec. An exception
// is a failed attempt, tried again later; Reject says that no attempt can succeed, Snooze that it is too early. What the
// function prints goes to the log. docs/stream.md has the protocol.

namespace Rowmill;

/** No attempt can succeed: the task is dead at once. */
class Reject extends \Exception
{
}

/** Not yet: the task runs again after $ms milliseconds. That costs no attempt. */
class Snooze extends \Exception
{
    public function __construct(public int $ms)
    {
        parent::__construct("again in $ms ms");
    }
}

/** Calls $handle($param, $task) for each task, until the worker closes the standard input. */
function serve(callable $handle): void
{
    // The answers have the standard output for themselves: what is printed goes to the standard error, and so to the log.
    ini_set('display_errors', 'stderr');
    ob_start(function (string $text): string {
        fwrite(STDERR, $text);
        return '';
    }, 1);
    $tokens = null;
    if (getenv('ROWMILL_STREAM') === 'tokens') {
        $tokens = fopen('php://fd/3', 'r');
        stream_set_read_buffer($tokens, 0);
    }
    while (($line = next_line($tokens)) !== null) {
        $answer = run($handle, $line) . "\n";
        for ($sent = 0; $sent < strlen($answer); $sent += $count) {
            $count = fwrite(STDOUT, $sent ? substr($answer, $sent) : $answer);
            if (!$count) {
                return;
            }
        }
    }
}

/** The line of the next task; null when there is no more. */
function next_line($tokens): ?string
{
    if ($tokens === null) {
        return fgets(STDIN) ?: null;
    }
    // Before it begins a task, it takes the task's token. A line before that of the token was called back.
    $token = fread($tokens, 1);
    if ($token === false || $token === '') {
        return null;
    }
    $mark = ',"token":' . ord($token) . ',';
    do {
        $line = fgets(STDIN);
    } while ($line !== false && !str_contains(substr($line, 0, 40), $mark));
    return $line === false ? null : $line;
}

function run(callable $handle, string $line): string
{
    $task = json_decode($line, true);
    if ($task === null) {
        // Nested too deeply for json_decode, say. The id always stands first.
        $id = (int) substr($line, 6);
        return encoded(['id' => $id, 'ok' => false, 'reject' => true, 'error' => json_last_error_msg()]);
    }
    $id = $task['id'];
    try {
        $param = isset($task['param_base64']) ? base64_decode($task['param_base64']) : $task['param'];
        $result = $handle($param, $task);
    } catch (Snooze $e) {
        return encoded(['id' => $id, 'ok' => false, 'snooze_ms' => $e->ms]);
    } catch (Reject $e) {
        return encoded(['id' => $id, 'ok' => false, 'reject' => true, 'error' => $e->getMessage()]);
    } catch (\Throwable $e) {
        fwrite(STDERR, "$e\n");
        return encoded(['id' => $id, 'ok' => false, 'error' => $e::class . ': ' . $e->getMessage()]);
    }
    if ($result === null) {
        return "{\"id\":$id,\"ok\":true}";
    }
    if (is_string($result) && !is_utf8($result)) {
        return encoded(['id' => $id, 'ok' => true, 'result_base64' => base64_encode($result)]);
    }
    return encoded(['id' => $id, 'ok' => true, 'result' => $result]);
}

/** Whether a text is UTF-8; without the extension mbstring, which not everybody has. */
function is_utf8(string $text): bool
{
    return preg_match('//u', $text) === 1;
}

function encoded(array $answer): string
{
    return json_encode($answer, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION
        | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR);
}
