// node-redis: commands, RESP3 types, transactions, scripts, streams, messages, client-side caching, and a client that
// finds the new primary by itself when the old one dies.
const { createClient, createClientPool } = require('redis');
const { port, check, equal, sleep, soon, failOver, run } = require('./beside.js');

async function connect(options = {}) {
  const client = createClient({ socket: { host: '127.0.0.1', port, reconnectStrategy: () => 50 }, ...options });
  // Without a listener a broken connection ends the process; the client makes a new one.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function commands(client) {
  await client.hSet('hash', { name: 'Ada', sent: 1 });
  equal('a hash is an object', { ...(await client.hGetAll('hash')) }, { name: 'Ada', sent: '1' });
  await client.zAdd('scores', [{ score: 1.5, value: 'a' }, { score: Infinity, value: 'z' }]);
  equal('scores are numbers', (await client.zRangeWithScores('scores', 0, 0)), [{ value: 'a', score: 1.5 }]);
  equal('also infinite ones', await client.zScore('scores', 'z'), Infinity);
  const [sum, , members] = await client.multi().incrBy('counter', 41).incr('counter').sAdd('set', ['x', 'y']).exec();
  equal('a transaction replies to each command', [sum, members], [41, 2]);
  const found = [];
  await client.mSet(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`scan:${n}`, 'v'])));
  for await (const keys of client.scanIterator({ MATCH: 'scan:*', COUNT: 50 })) found.push(...keys);
  equal('a scan finds all keys', new Set(found).size, 300);
  equal('a script of a transaction', await client.eval("return {KEYS[1], redis.call('GET', KEYS[1])}", { keys: ['counter'] }), ['counter', '42']);
  const watching = await connect();
  await watching.watch('counter');
  await client.set('counter', '7');
  let aborted = false;
  await watching.multi().incr('counter').exec().catch((error) => { aborted = error.constructor.name === 'WatchError'; });
  check('a watched key that changed ends the transaction', aborted);
  await watching.close();
}

async function streams(client) {
  await client.xGroupCreate('mails', 'senders', '$', { MKSTREAM: true });
  const id = await client.xAdd('mails', '*', { to: 'ada' });
  const [{ name, messages }] = await client.xReadGroup('senders', 'one', { key: 'mails', id: '>' }, { COUNT: 5 });
  equal('a group reads a stream', [name, messages[0].id, { ...messages[0].message }], ['mails', id, { to: 'ada' }]);
  equal('what is read is pending', (await client.xPending('mails', 'senders')).pending, 1);
  equal('until it is acknowledged', await client.xAck('mails', 'senders', id), 1);
}

async function messages(client) {
  const subscriber = await connect();
  const heard = [];
  await subscriber.subscribe('news', (message) => heard.push(message));
  await subscriber.pSubscribe('n*', (message, channel) => heard.push(`${channel}:${message}`));
  await subscriber.sSubscribe('shard', (message) => heard.push(`shard ${message}`));
  await client.publish('news', 'hello');
  await client.sPublish('shard', 'hi');
  await soon('messages arrive', () => heard.length === 3);
  equal('each once', heard.sort(), ['hello', 'news:hello', 'shard hi']);
  return [subscriber, heard];
}

async function caching(client) {
  const cached = await connect({ RESP: 3, clientSideCache: { ttl: 0, maxEntries: 100, evictPolicy: 'LRU' } });
  await client.set('page', 'old');
  for (let time = 0; time < 10; time += 1) await cached.get('page');
  const reads = Number((await client.info('commandstats')).match(/cmdstat_get:calls=(\d+)/)[1]);
  await cached.get('page');
  const after = Number((await client.info('commandstats')).match(/cmdstat_get:calls=(\d+)/)[1]);
  equal('a cached value is not asked for again', after, reads);
  await client.set('page', 'new');
  await soon('a change reaches the cache', async () => (await cached.get('page')) === 'new');
  await client.del('page');
  await soon('as does a deletion', async () => (await cached.get('page')) === null);
  return cached;
}

run(async () => {
  const client = await connect({ RESP: 3 });
  const hello = await client.sendCommand(['HELLO']);
  equal('the connection speaks RESP3', hello.proto, 3);
  await commands(client);
  await streams(client);
  const [subscriber, heard] = await messages(client);
  const cached = await caching(client);
  const pool = createClientPool({ socket: { host: '127.0.0.1', port, reconnectStrategy: () => 50 } });
  pool.on('error', () => {});
  await pool.connect();
  const counted = await Promise.all(Array.from({ length: 100 }, () => pool.incr('pooled')));
  equal('a pool counts to 100', Math.max(...counted), 100);

  await client.set('page', 'before');
  // The invalidation and the reply to whoever changed the key travel on connections of their own.
  await soon('the cache holds the page', async () => (await cached.get('page')) === 'before');
  let acknowledged = 0;
  let stop = false;
  const writer = (async () => {
    while (!stop) {
      await client.rPush('written', String(acknowledged)).then(() => { acknowledged += 1; }, () => {});
      await sleep(1);
    }
  })();
  await sleep(300);
  const before = acknowledged;
  await failOver();
  await soon('writing goes on', () => acknowledged > before + 50);
  stop = true;
  await writer;
  const list = new Set(await client.lRange('written', 0, -1));
  check('every acknowledged write is there', Array.from({ length: acknowledged }, (_, n) => String(n)).every((n) => list.has(n)));
  await client.set('page', 'after');
  await soon('the cache of before the failover is not believed', async () => (await cached.get('page')) === 'after');
  heard.length = 0;
  await soon('subscriptions are made again', async () => {
    await client.publish('news', 'again');
    return heard.includes('again') && heard.includes('news:again');
  });
  await Promise.all([client, cached, subscriber, pool].map((one) => one.close()));
});
