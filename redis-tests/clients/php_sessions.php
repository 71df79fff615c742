<?php
// Debian's php-redis: PHP's own sessions kept in the server, with locks, and the extension's commands, across a failover.

$port = (int) getenv('LOCKSTEP_PORT');
$failed = 0;

/** Not `echo`: sessions start before there is output, for PHP. */
function say(string $line): void
{
    fwrite(STDOUT, "$line\n");
}

function check(string $what, bool $holds): void
{
    global $failed;
    $failed += $holds ? 0 : 1;
    say(($holds ? 'ok ' : 'FAILED ') . $what);
}

function equal(string $what, mixed $found, mixed $expected): void
{
    check($found === $expected ? $what : "$what: " . json_encode($found) . ', expected ' . json_encode($expected), $found === $expected);
}

function fail_over(): void
{
    say('fail over');
    fgets(STDIN);
}

// A broken connection is an error of one request, as it is with Redis; the next one connects again.
function connected(int $port): Redis
{
    for ($tries = 0; ; $tries++) {
        try {
            $redis = new Redis();
            $redis->connect('127.0.0.1', $port, 5);
            $redis->ping();
            return $redis;
        } catch (RedisException $error) {
            if ($tries === 200) throw $error;
            usleep(50000);
        }
    }
}

function commands(Redis $redis): void
{
    equal('a hash is an array', $redis->hMSet('hash', ['name' => 'Ada', 'sent' => 1]) ? $redis->hGetAll('hash') : null, ['name' => 'Ada', 'sent' => '1']);
    equal('a transaction', $redis->multi()->incrBy('counter', 41)->incr('counter')->get('counter')->exec(), [41, 42, '42']);
    equal('a pipeline', $redis->pipeline()->set('a', '1')->get('a')->exec(), [true, '1']);
    equal('a script', $redis->eval("return {KEYS[1], redis.call('GET', KEYS[1])}", ['counter'], 1), ['counter', '42']);
    $redis->zAdd('scores', 1.5, 'a', 2.5, 'b');
    equal('scores are numbers', $redis->zRange('scores', 0, -1, true), ['a' => 1.5, 'b' => 2.5]);
    $redis->mSet(array_fill_keys(array_map(fn ($n) => "scan:$n", range(1, 200)), 'v'));
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $found = [];
    $cursor = null;
    while (($keys = $redis->scan($cursor, 'scan:*', 50)) !== false) foreach ($keys as $key) $found[$key] = true;
    equal('a scan finds all keys', count($found), 200);
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_IGBINARY);
    $redis->set('value', ['list' => [1, null, true], 'bytes' => "\0\xff"], ['EX' => 60]);
    equal('a value comes back', $redis->get('value'), ['list' => [1, null, true], 'bytes' => "\0\xff"]);
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_NONE);
    $id = $redis->xAdd('mails', '*', ['to' => 'ada']);
    equal('a stream is read', $redis->xRange('mails', '-', '+'), [$id => ['to' => 'ada']]);
}

/** One request: opens the session, runs `$change` on it, and writes it. */
function request(string $id, callable $change): mixed
{
    session_id($id);
    session_start();
    $answer = $change();
    session_write_close();
    $_SESSION = [];
    return $answer;
}

function sessions(int $port): void
{
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "tcp://127.0.0.1:$port?prefix=session:&timeout=5");
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    ini_set('session.gc_maxlifetime', '900');
    ini_set('redis.session.locking_enabled', '1');
    ini_set('redis.session.lock_expire', '10');
    foreach (range(1, 30) as $number) {
        request("visitor$number", function () use ($number) { $_SESSION = ['number' => $number, 'basket' => range(0, $number)]; });
    }
    equal('a session is found again', request('visitor7', fn () => $_SESSION['number']), 7);
    $redis = connected($port);
    $ttl = $redis->ttl('session:visitor7');
    check("it lasts as long as PHP says: $ttl", $ttl > 800 && $ttl <= 900);
    session_id('visitor8');
    session_start();
    check('an open session is locked', $redis->exists('session:visitor8_LOCK') === 1);
    session_write_close();
    check('and unlocked when it is written', $redis->exists('session:visitor8_LOCK') === 0);
    fail_over();
    $redis = connected($port);
    $wrong = [];
    foreach (range(1, 30) as $number) {
        if (request("visitor$number", fn () => $_SESSION) !== ['number' => $number, 'basket' => range(0, $number)]) $wrong[] = $number;
    }
    equal('all sessions are as they were', $wrong, []);
    request('visitor1', function () { $_SESSION['number'] = 'changed'; });
    equal('they change', request('visitor1', fn () => $_SESSION['number']), 'changed');
    session_id('visitor2');
    session_start();
    session_destroy();
    equal('and end', connected($port)->exists('session:visitor2'), 0);
}

error_reporting(E_ALL & ~E_WARNING);
try {
    commands(connected($port));
    sessions($port);
} catch (Throwable $error) {
    say('FAILED with ' . str_replace("\n", ' ', (string) $error));
    $failed++;
}
exit($failed ? 1 : 0);
