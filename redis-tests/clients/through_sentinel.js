// Applications that ask Sentinel where the primary is: ioredis, node-redis and BullMQ go on when it is killed, and a tally
// of their own shows every acknowledged write once. Run with `beside.py --sentinel`.
const Redis = require('ioredis');
const { createSentinel } = require('redis');
const { Queue, Worker } = require('bullmq');
const { check, equal, sleep, soon, broken, failOver, run } = require('./beside.js');

const sentinels = process.env.LOCKSTEP_SENTINELS.split(',').map((port) => ({ host: '127.0.0.1', port: Number(port) }));
const name = 'mymaster';

// Appends numbers to a list of its own, each with an increment in one transaction, and notes what it is told.
class Writer {
  constructor(who, append) {
    Object.assign(this, { who, append, done: [], unknown: new Set(), sent: 0, stop: false });
    this.running = this.write();
  }

  async write() {
    while (!this.stop) {
      this.sent += 1;
      try {
        await this.append(`log:${this.who}`, `count:${this.who}`, this.sent);
        this.done.push(this.sent);
      } catch (error) {
        if (!broken(error)) throw error;
        this.unknown.add(this.sent);
        await sleep(20);
      }
      await sleep(1);
    }
  }

  async tally(list, count) {
    const found = list.map(Number);
    const once = new Set(found);
    equal(`${this.who}: every acknowledged write is there`, this.done.filter((n) => !once.has(n)), []);
    equal(`${this.who}: nothing else but what had an unknown outcome`, [...once].filter((n) => n > this.sent), []);
    equal(`${this.who}: each once, in order`, found, [...once].sort((a, b) => a - b));
    equal(`${this.who}: transactions are whole`, Number(count), found.length);
    console.log(`${this.who}: ${this.done.length} acknowledged, ${this.unknown.size} unknown or refused`);
  }
}

function ioredis() {
  // What had no reply when the connection broke is not sent again: the outcome is unknown, and the writer notes that.
  const client = new Redis({ sentinels, name, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0,
    sentinelRetryStrategy: () => 50, retryStrategy: () => 50 });
  client.on('error', () => {});
  const writer = new Writer('ioredis', async (log, count, n) => {
    const replies = await client.multi().rpush(log, n).incr(count).exec();
    const failed = replies.find(([error]) => error);
    if (failed) throw failed[0];
  });
  return { writer, read: () => Promise.all([client.lrange('log:ioredis', 0, -1), client.get('count:ioredis')]), close: () => client.disconnect() };
}

async function nodeRedis() {
  // It would send what had no reply up to 16 times.
  const client = createSentinel({ name, sentinelRootNodes: sentinels, masterPoolSize: 2, scanInterval: 500, maxCommandRediscovers: 0,
    nodeClientOptions: { socket: { reconnectStrategy: () => 50 } } });
  client.on('error', () => {});
  await client.connect();
  const writer = new Writer('node-redis', (log, count, n) => client.multi().rPush(log, String(n)).incr(count).exec());
  return { writer, read: () => Promise.all([client.lRange('log:node-redis', 0, -1), client.get('count:node-redis')]), close: () => client.destroy() };
}

// Jobs have ids, so that adding one again is harmless. They have attempts, as BullMQ takes a job for failed when its
// completion is refused, and a new primary answers `-NOREPLICAS` until the other replica has come to it.
function bullmq() {
  const connection = { sentinels, name, maxRetriesPerRequest: null, sentinelRetryStrategy: () => 50, retryStrategy: () => 50 };
  const queue = new Queue('mail', { connection });
  const [added, runs, completed, again] = [[], new Map(), new Set(), []];
  const worker = new Worker('mail', async (job) => {
    runs.set(job.id, (runs.get(job.id) || 0) + 1);
    if (completed.has(job.id)) again.push(job.id);
    await sleep(3);
  }, { connection, concurrency: 4, lockDuration: 4000, stalledInterval: 500, maxStalledCount: 20 });
  worker.on('completed', (job) => completed.add(job.id));
  [queue, worker].forEach((one) => one.on('error', () => {}));
  let stop = false;
  const adding = (async () => {
    while (!stop) {
      const jobId = `job-${added.length}`;
      try {
        await queue.add('send', {}, { jobId, attempts: 10, delay: added.length % 5 === 0 ? 500 : 0 });
        added.push(jobId);
      } catch (error) {
        if (!broken(error)) throw error;
      }
      await sleep(2);
    }
  })();
  const finish = async () => {
    stop = true;
    await adding;
    await soon('bullmq: every acknowledged job is completed', async () => (await queue.getCompletedCount()) >= added.length, 60);
    equal('bullmq: each once, and nothing else', (await queue.getCompleted()).map((job) => job.id).sort(), [...added].sort());
    equal('bullmq: each was run', added.filter((id) => !runs.has(id)), []);
    equal('bullmq: none again that was acknowledged as completed', again, []);
    await Promise.all([queue.close(), worker.close()]);
  };
  return { added, finish };
}

run(async () => {
  const clients = [ioredis(), await nodeRedis()];
  const jobs = bullmq();
  const counts = () => [...clients.map(({ writer }) => writer.done.length), jobs.added.length];
  const goneOn = (before) => () => counts().every((count, index) => count > before[index] + 50);
  await soon('all write', goneOn([0, 0, 0]));
  const before = counts();
  await failOver();
  await soon('all go on', goneOn(before));
  for (const { writer, read, close } of clients) {
    writer.stop = true;
    await writer.running;
    await writer.tally(...(await read()));
    close();
  }
  await jobs.finish();
});
