#!/usr/bin/env php
<?php
// A sample job in PHP: writes a line for each user into the file `notices`.
//
//     $db->prepare("INSERT INTO queue (job, param, codec) VALUES ('notify.php', ?, 'form')")
//        ->execute([http_build_query(['uids' => [6, 34], 'content' => 'hi'])]);
//
// It may run twice for one task (when the machine dies in between): the lines bear the task's key, and stand there once.

function fail(int $code, string $words): never
{
    fwrite(STDERR, "$words\n"); // the last lines on standard error become the task's `error`
    exit($code);
}

parse_str(stream_get_contents(STDIN), $param); // codec `form`; for `json` it is json_decode(…, true)
$uids = $param['uids'] ?? [];
$content = $param['content'] ?? '';
if (!is_array($uids) || $uids === [] || !is_string($content) || $content === '') {
    fail(65, 'the param wants uids and content'); // EX_DATAERR: no attempt can succeed, so there is no other
}

$key = getenv('ROWMILL_IDEMPOTENCY_KEY');
$file = @fopen('notices', 'a+');
if ($file === false || !flock($file, LOCK_EX | LOCK_NB)) {
    fail(75, 'somebody else writes notices'); // EX_TEMPFAIL: try again later
}
if (str_contains(stream_get_contents($file, offset: 0), "$key ")) {
    echo "they are notified already\n";
    exit(0);
}
$lines = array_map(fn ($uid) => "$key $uid " . json_encode($content, JSON_UNESCAPED_UNICODE) . "\n", $uids);
fwrite($file, implode('', $lines));
echo count($uids) . ' notified, attempt ' . getenv('ROWMILL_ATTEMPT') . "\n";
