// BullMQ across the death of the primary, to the job: every job is done, the server counts each as completed once, and no
// job that was acknowledged as completed is run again. The record to compare with is kept by the application.
//
// Jobs have ids of the application's, so that adding one again after an unknown outcome is harmless. A job may be *run*
// twice if its completion was not acknowledged when the primary died, and only then.
const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');
const { port, check, equal, sleep, soon, broken, failOver, run } = require('./beside.js');

const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null, retryStrategy: () => 50 };
const CONCURRENCY = 4;
const opened = [];

function open(thing) {
  thing.on('error', () => {});
  opened.push(thing);
  return thing;
}

// What the application knows of each job by its id: how often it was run, and what it was told of it.
class Record {
  constructor() {
    this.jobs = new Map();
    this.early = [];
    this.again = [];
  }

  expect(id, runs = 1) {
    if (!this.jobs.has(id)) this.jobs.set(id, { expected: runs, runs: 0, completed: 0, events: 0 });
  }

  starts(job) {
    const known = this.jobs.get(job.id);
    known.runs += 1;
    if (known.completed) this.again.push(job.id);
    if (job.opts.delay && Date.now() < job.timestamp + job.opts.delay) this.early.push(job.id);
  }

  which(condition) {
    return [...this.jobs].filter(([, job]) => condition(job)).map(([id]) => id);
  }
}

// Until it is acknowledged: the ids make that harmless.
async function patiently(attempt) {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!broken(error)) throw error;
      await sleep(20);
    }
  }
}

// Every kind in turn: plain, delayed beyond the failover, failing once and tried again later, with a priority, and a flow
// whose parent adds up what its children return.
async function add(number, { jobs, flows, record }) {
  const id = `job-${number}`;
  const kind = ['plain', 'delayed', 'failing', 'ranked', 'flow'][number % 5];
  record.expect(id, kind === 'failing' ? 2 : 1);
  const options = { jobId: id, attempts: 10 };
  if (kind === 'delayed') options.delay = 600;
  if (kind === 'failing') options.backoff = { type: 'fixed', delay: 300 };
  if (kind === 'ranked') options.priority = 1 + (number % 3);
  if (kind !== 'flow') return patiently(() => jobs.add(kind, { number }, options));
  const children = [0, 1].map((n) => ({ name: 'child', queueName: 'mail', data: { number: number + n }, opts: { jobId: `${id}-${n}`, attempts: 10 } }));
  children.forEach((child) => record.expect(child.opts.jobId));
  return patiently(() => flows.add({ name: 'flow', queueName: 'mail', data: { number }, opts: options, children }));
}

function work(record) {
  const worker = open(new Worker('mail', async (job) => {
    record.starts(job);
    await sleep(5);
    if (job.name === 'failing' && job.attemptsMade === 0) throw new Error('not yet');
    if (job.name !== 'flow') return job.data.number;
    return Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0);
  }, { connection, concurrency: CONCURRENCY, lockDuration: 4000, stalledInterval: 500, maxStalledCount: 20 }));
  worker.on('completed', (job) => { record.jobs.get(job.id).completed += 1; });
}

async function tally(jobs, record) {
  const expected = [...record.jobs.keys()].sort();
  await soon('every job is done', async () => (await jobs.getCompletedCount()) >= expected.length, 60);
  equal('each is completed, and nothing else is', (await jobs.getCompleted()).map((job) => job.id).sort(), expected);
  equal('nothing is left of any', await jobs.getJobCounts('waiting', 'active', 'delayed', 'failed', 'prioritized', 'waiting-children'),
    { waiting: 0, active: 0, delayed: 0, failed: 0, prioritized: 0, 'waiting-children': 0 });
  equal('each was run', record.which((job) => job.runs < job.expected), []);
  equal('what was acknowledged as completed is not run again', record.again, []);
  equal('nor acknowledged twice', record.which((job) => job.completed > 1), []);
  const twice = record.which((job) => job.runs > job.expected);
  check(`no more were run again (${twice}) than the worker held when the primary died`, twice.length <= CONCURRENCY);
  await soon('the stream of events tells of each', () => record.which((job) => job.events === 0).length === 0);
  equal('once', record.which((job) => job.events !== 1), []);
  equal('delayed jobs were not early', record.early, []);
  const flows = (await jobs.getCompleted()).filter((job) => job.name === 'flow');
  check('a flow has what its children returned', flows.length > 10 && flows.every((job) => job.returnvalue === 2 * job.data.number + 1));
}

// Nobody works on these before the failover: their order is all in the server.
async function ranks(addMore) {
  const ranked = open(new Queue('ranks', { connection }));
  const added = [];
  const addSome = async () => {
    for (let n = 0; n < 10; n += 1) {
      const priority = 1 + ((n * 7) % 4);
      added.push({ id: `rank-${added.length}`, priority });
      await patiently(() => ranked.add('rank', {}, { jobId: added.at(-1).id, priority }));
    }
  };
  await addSome();
  await addMore();
  await addSome();
  const order = [];
  open(new Worker('ranks', async (job) => { order.push(job.id); }, { connection }));
  await soon('jobs with priorities are done', () => order.length >= added.length);
  const sorted = added.map((job, index) => ({ ...job, index })).sort((a, b) => a.priority - b.priority || a.index - b.index);
  equal('in the order of their priorities, then of their adding', order, sorted.map((job) => job.id));
}

async function campaign() {
  const record = new Record();
  const jobs = open(new Queue('mail', { connection }));
  const flows = open(new FlowProducer({ connection }));
  const events = open(new QueueEvents('mail', { connection, lastEventId: '0' }));
  events.on('completed', ({ jobId }) => { record.jobs.get(jobId).events += 1; });
  await events.waitUntilReady();
  work(record);
  let [stop, number] = [false, 0];
  const producers = [0, 1, 2].map(async () => {
    while (!stop) {
      number += 1;
      await add(number, { jobs, flows, record });
      await sleep(5);
    }
  });
  await soon('jobs are added', () => number > 100);
  const before = number;
  await failOver();
  await soon('jobs are added after the primary died', () => number > before + 100);
  stop = true;
  await Promise.all(producers);
  await tally(jobs, record);
}

run(async () => {
  await ranks(campaign);
  await Promise.all(opened.map((thing) => thing.close()));
});
