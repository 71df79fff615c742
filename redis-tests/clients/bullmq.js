// BullMQ: jobs, delays, priorities, retries with backoff, flows, rate limits, repeated jobs and events; then the primary
// is killed while jobs are being added and worked on, and every job that was acknowledged is done.
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const { port, check, equal, sleep, soon, broken, failOver, run } = require('./beside.js');

// Workers wait for ever; BullMQ demands that for their blocking reads.
const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null, retryStrategy: () => 50 };
const opened = [];

function open(thing) {
  // Connections break when the primary dies; BullMQ makes new ones.
  thing.on('error', () => {});
  opened.push(thing);
  return thing;
}
const queue = (name, options) => open(new Queue(name, { connection, ...options }));
const worker = (name, processor, options) => open(new Worker(name, processor, { connection, ...options }));

async function results() {
  const jobs = queue('results');
  const events = open(new QueueEvents('results', { connection }));
  await events.waitUntilReady();
  worker('results', async (job) => {
    await job.updateProgress(50);
    await job.log('half-way');
    return job.data.a + job.data.b;
  });
  const job = await jobs.add('sum', { a: 2, b: 3 });
  equal('the result comes as an event', await job.waitUntilFinished(events, 20000), 5);
  const found = await jobs.getJob(job.id);
  equal('the result is kept', found.returnvalue, 5);
  equal('progress is kept', found.progress, 50);
  equal('the log is kept', (await jobs.getJobLogs(job.id)).logs, ['half-way']);
  await jobs.addBulk(Array.from({ length: 200 }, (_, a) => ({ name: 'sum', data: { a, b: 1 } })));
  await soon('200 jobs added at once are done', async () => (await jobs.getCompletedCount()) === 201);
  equal('and counted', await jobs.getJobCounts('waiting', 'active', 'delayed', 'failed'), { waiting: 0, active: 0, delayed: 0, failed: 0 });
  const same = [await jobs.add('once', { a: 0, b: 0 }, { jobId: 'once' }), await jobs.add('once', { a: 1, b: 1 }, { jobId: 'once' })];
  equal('a job of the same id is the same', same.map((one) => one.id), ['once', 'once']);
  equal('and done once', await same[0].waitUntilFinished(events, 20000), 0);
}

async function delays() {
  const jobs = queue('delays');
  await jobs.add('later', {}, { delay: 3000 });
  await jobs.add('sooner', {}, { delay: 300 });
  await jobs.add('now', {});
  equal('two are delayed', await jobs.getDelayedCount(), 2);
  const done = [];
  worker('delays', async (job) => { done.push(job); });
  await soon('delayed jobs are done', () => done.length === 3);
  equal('in the order of their delays', done.map((job) => job.name), ['now', 'sooner', 'later']);
  check('and none too early', done.every((job) => job.processedOn - job.timestamp >= job.opts.delay || !job.opts.delay));
}

async function priorities() {
  const jobs = queue('priorities');
  for (const priority of [5, 1, 9, 3]) await jobs.add(`p${priority}`, {}, { priority });
  await jobs.add('first', {});
  await jobs.add('last in', {}, { lifo: true });
  const order = [];
  worker('priorities', async (job) => { order.push(job.name); });
  await soon('jobs with priorities are done', () => order.length === 6);
  equal('in their order', order, ['last in', 'first', 'p1', 'p3', 'p5', 'p9']);
}

async function retries() {
  const jobs = queue('retries');
  let attempts = 0;
  worker('retries', async (job) => {
    attempts += 1;
    if (job.name === 'hopeless' || job.attemptsMade < 2) throw new Error(`attempt ${job.attemptsMade}`);
    return 'at last';
  });
  const stubborn = await jobs.add('stubborn', {}, { attempts: 5, backoff: { type: 'exponential', delay: 50 } });
  await soon('a job that fails twice is done', async () => (await jobs.getJob(stubborn.id)).returnvalue === 'at last');
  equal('after three attempts', attempts, 3);
  const hopeless = await jobs.add('hopeless', {}, { attempts: 2, backoff: { type: 'fixed', delay: 50 } });
  await soon('a hopeless one fails', () => hopeless.isFailed());
  const failed = await jobs.getJob(hopeless.id);
  equal('with its reason', [failed.failedReason, failed.attemptsMade], ['attempt 1', 2]);
  await failed.remove();
  equal('and can be removed', await jobs.getFailedCount(), 0);
}

async function flows() {
  const flow = open(new FlowProducer({ connection }));
  worker('leaves', async (job) => job.data.value);
  worker('roots', async (job) => Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0));
  const roots = queue('roots');
  const tree = await flow.add({
    name: 'sum', queueName: 'roots', data: {},
    children: [
      ...[1, 2, 3].map((value) => ({ name: 'leaf', queueName: 'leaves', data: { value } })),
      { name: 'part', queueName: 'roots', data: {}, children: [{ name: 'leaf', queueName: 'leaves', data: { value: 10 }, opts: { delay: 100 } }] },
    ],
  });
  await soon('the root of a flow is done after its children', async () => (await roots.getJob(tree.job.id)).returnvalue === 16);
}

async function limits() {
  const jobs = queue('limits');
  await jobs.addBulk(Array.from({ length: 12 }, () => ({ name: 'limited', data: {} })));
  let done = 0;
  const started = Date.now();
  worker('limits', async () => { done += 1; }, { limiter: { max: 5, duration: 400 }, concurrency: 5 });
  await soon('limited jobs are done', () => done === 12);
  check('12 of them, 5 in 400 ms, take three turns', Date.now() - started >= 790);
}

async function schedules() {
  const jobs = queue('schedules');
  let ticks = 0;
  worker('schedules', async () => { ticks += 1; });
  await jobs.upsertJobScheduler('tick', { every: 150 }, { name: 'tick' });
  await soon('a repeated job comes again', () => ticks >= 3);
  check('its schedule is removed', await jobs.removeJobScheduler('tick'));
  equal('and nothing is left of it', await jobs.getJobSchedulersCount(), 0);
  await jobs.pause();
  await jobs.add('held', {});
  check('a paused queue is paused', await jobs.isPaused());
  await jobs.obliterate({ force: true });
  equal('an obliterated queue is empty', await jobs.getJobCounts('waiting', 'paused', 'completed'), { waiting: 0, paused: 0, completed: 0 });
}

async function failure() {
  const jobs = queue('failure', { connection: { ...connection, maxRetriesPerRequest: 20 } });
  const done = new Set();
  worker('failure', async (job) => {
    await sleep(5);
    done.add(job.data.number);
  }, { concurrency: 4, lockDuration: 3000, stalledInterval: 500, maxStalledCount: 20 });
  const acknowledged = [];
  let stop = false;
  const producer = (async () => {
    for (let number = 0; !stop; number += 1) {
      try {
        await jobs.add('send', { number }, { attempts: 20, delay: number % 7 === 0 ? 200 : 0 });
        acknowledged.push(number);
      } catch (error) {
        if (!broken(error)) throw error;
      }
      await sleep(2);
    }
  })();
  await soon('jobs are added', () => acknowledged.length > 50);
  const before = acknowledged.length;
  await failOver();
  await soon('jobs are added after the primary died', () => acknowledged.length > before + 50);
  stop = true;
  await producer;
  await soon('every acknowledged job is done', () => acknowledged.every((number) => done.has(number)), 60);
  await soon('nothing is left', async () => {
    const counts = await jobs.getJobCounts('waiting', 'active', 'delayed', 'failed');
    return Object.values(counts).every((count) => count === 0);
  }, 60);
}

run(async () => {
  await Promise.all([results(), delays(), priorities(), retries(), flows(), limits(), schedules()]);
  await failure();
  await Promise.all(opened.map((thing) => thing.close()));
});
