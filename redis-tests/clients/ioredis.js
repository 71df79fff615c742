// ioredis: pipelines, transactions, scripts as commands, blocking reads, messages, automatic pipelining; then the primary
// is killed and clients, subscriptions and blocked readers go on. Redlock, made for ioredis, locks with it.
const Redis = require('ioredis');
const Redlock = require('redlock');
const { port, check, equal, sleep, soon, failOver, run } = require('./beside.js');

const opened = [];
function connect(options = {}) {
  const client = new Redis({ host: '127.0.0.1', port, retryStrategy: () => 50, maxRetriesPerRequest: null, ...options });
  client.on('error', () => {});
  opened.push(client);
  return client;
}

async function commands(client) {
  equal('a pipeline replies to each command', await client.pipeline().set('a', 1).incr('a').hset('a', 'f', 1).exec().then(
    (replies) => replies.map(([error, reply]) => (error ? error.message.split(' ')[0] : reply))), ['OK', 2, 'WRONGTYPE']);
  equal('a transaction too', await client.multi().mset('b', 1, 'c', 2).mget('b', 'c').exec(), [[null, 'OK'], [null, ['1', '2']]]);
  equal('a hash is an object', await client.hset('hash', { x: 1, y: 'z' }).then(() => client.hgetall('hash')), { x: '1', y: 'z' });
  const bytes = Buffer.from([0, 255, 13, 10]);
  await client.set('bytes', bytes);
  check('bytes stay bytes', bytes.equals(await client.getBuffer('bytes')));
  await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`scan:${n}`, 'v'])));
  const found = new Set();
  for await (const keys of client.scanStream({ match: 'scan:*', count: 40 })) keys.forEach((key) => found.add(key));
  equal('a scan finds all keys', found.size, 300);
  const automatic = connect({ enableAutoPipelining: true, keyPrefix: 'auto:' });
  const counted = await Promise.all(Array.from({ length: 200 }, () => automatic.incr('counter')));
  equal('automatic pipelines keep the order', counted, Array.from({ length: 200 }, (_, n) => n + 1));
  equal('and the prefix', await client.get('auto:counter'), '200');
}

// A token bucket, the way such limiters are written: the server's clock, a hash and an expiry.
const BUCKET = `
  local now = redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  local state = redis.call('HMGET', KEYS[1], 'tokens', 'at')
  local tokens = tonumber(state[1]) or tonumber(ARGV[1])
  local at = tonumber(state[2]) or now
  tokens = math.min(tonumber(ARGV[1]), tokens + (now - at) * tonumber(ARGV[2]) / 1000)
  local allowed = 0
  if tokens >= 1 then tokens = tokens - 1 allowed = 1 end
  redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', now)
  redis.call('PEXPIRE', KEYS[1], 60000)
  return {allowed, math.floor(tokens)}`;

async function limiter(client) {
  client.defineCommand('take', { numberOfKeys: 1, lua: BUCKET });
  const taken = await Promise.all(Array.from({ length: 30 }, () => client.take('bucket', 10, 0.001)));
  equal('a bucket of ten gives ten', taken.filter(([allowed]) => allowed === 1).length, 10);
  equal('the first leaves nine', taken[0], [1, 9]);
  check('and it expires', (await client.pttl('bucket')) > 0);
  await client.script('FLUSH');
  equal('a script the server forgot is sent again', await client.take('bucket', 10, 0.001), [0, 0]);
}

async function locks(clients) {
  const redlock = new Redlock(clients, { retryCount: 200, retryDelay: 10, retryJitter: 10 });
  redlock.on('clientError', () => {});
  let [inside, most, done] = [0, 0, 0];
  await Promise.all(Array.from({ length: 8 }, async () => {
    const lock = await redlock.lock('locks:campaign', 10000);
    inside += 1;
    most = Math.max(most, inside);
    await sleep(5);
    inside -= 1;
    done += 1;
    await lock.unlock();
  }));
  equal('a lock admits one at a time, and all in the end', [most, done], [1, 8]);
  const held = await redlock.lock('locks:held', 10000);
  const impatient = new Redlock(clients, { retryCount: 0 });
  let refused = false;
  await impatient.lock('locks:held', 1000).catch((error) => { refused = error.name === 'LockError'; });
  check('a held lock is refused', refused);
  await held.extend(20000);
  return held;
}

async function failure(client, held) {
  const subscriber = connect();
  const heard = [];
  subscriber.on('message', (channel, message) => heard.push(message));
  await subscriber.subscribe('news');
  const reader = connect();
  const read = new Set();
  let stop = false;
  const reading = (async () => {
    while (!stop) {
      const reply = await reader.blpop('queue', 1).catch(() => null);
      if (reply) read.add(reply[1]);
    }
  })();
  let acknowledged = 0;
  const writing = (async () => {
    while (!stop) {
      await client.multi().rpush('queue', acknowledged).set('last', acknowledged).exec().then(() => { acknowledged += 1; }, () => {});
      await sleep(2);
    }
  })();
  await sleep(300);
  const before = acknowledged;
  await failOver();
  await soon('writing goes on', () => acknowledged > before + 50);
  equal('the lock is still held by its owner', await client.get('locks:held'), held.value);
  await held.unlock();
  equal('who gives it back', await client.exists('locks:held'), 0);
  await soon('the blocked reader reads on', () => read.has(String(acknowledged - 1)));
  const last = acknowledged;
  // What the reader was being told when the primary died was taken from the list: BLPOP has no acknowledgement.
  const lost = Array.from({ length: last }, (_, n) => String(n)).filter((n) => !read.has(n));
  check(`no more than the message on its way is missing: ${lost}`, lost.length <= 1);
  await soon('the subscription is made again', async () => {
    await client.publish('news', 'again');
    return heard.includes('again');
  });
  stop = true;
  await Promise.all([reading, writing]);
}

run(async () => {
  const client = connect();
  await commands(client);
  await limiter(client);
  const held = await locks([client]);
  await failure(client, held);
  opened.forEach((one) => one.disconnect());
});
