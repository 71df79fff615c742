// What the node applications share: their checks, and the primary's death (see beside.py).
const readline = require('node:readline');

const port = Number(process.env.LOCKSTEP_PORT);
let failed = 0;

function check(what, holds) {
  if (!holds) failed += 1;
  console.log(`${holds ? 'ok' : 'FAILED'} ${what}`);
}

function equal(what, found, expected) {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  check(left === right ? what : `${what}: ${left}, expected ${right}`, left === right);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// True now or before long; a condition that throws is not true yet.
async function soon(what, condition, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  let why = '';
  for (;;) {
    try {
      if (await condition()) return check(what, true);
      why = '';
    } catch (error) {
      why = ` (${error.message})`;
    }
    if (Date.now() > deadline) return check(what + why, false);
    await sleep(20);
  }
}

// What a client is told when the primary dies under it, in the words of each library, and what a new primary without a
// replica answers: the outcome is unknown, or the command was refused.
const BROKEN = /connection.*close|socket.*close|reset|refused|max retries|ended|disconnect|EPIPE|no valid master|UNCERTAIN|READONLY|NOREPLICAS|EXECABORT|LOADING/i;
function broken(error) {
  return BROKEN.test(`${error.message} ${error.code}`);
}

const answers = readline.createInterface({ input: process.stdin });

// Has the primary killed and replaced; returns when the group is whole enough to take writes.
function failOver() {
  return new Promise((resolve) => {
    answers.once('line', resolve);
    console.log('fail over');
  });
}

function run(application) {
  application().then(
    () => process.exit(failed ? 1 : 0),
    (error) => {
      console.log(`FAILED with ${error.stack}`);
      process.exit(1);
    },
  );
}

module.exports = { port, check, equal, sleep, soon, broken, failOver, run };
