/** Processes for the tests: the service and Redis, on free ports. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually, PATIENCE } from './wait.js';

/**
 * The next port. Linux takes the ports of outgoing connections from 32768 on; a server that restarts could find such a
 * port taken. The Go tests use ports below 30000.
 */
let nextPort = 30_000 + (process.pid % 2700);

/**
 * Returns a port on which no process listens. The next 2,700 calls in this process return other ports.
 * @returns {Promise<number>}
 */
export const freePort = () =>
  new Promise((resolve, reject) => {
    const port = nextPort;
    nextPort = port === 32_700 ? 30_000 : port + 1;
    const server = createServer();
    server.on('error', (/** @type {NodeJS.ErrnoException} */ error) => (error.code === 'EADDRINUSE' ? resolve(freePort()) : reject(error)));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
  });

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();
// No process outlives the tests.
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/**
 * Starts a process. It is killed if it takes longer than PATIENCE to stop.
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} [options]
 */
export function start(command, args, options) {
  const child = /** @type {import('node:child_process').ChildProcessByStdio<null, import('node:stream').Readable, import('node:stream').Readable>} */ (
    spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  );
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  /** @type {Error | undefined} */
  let failure;
  child.on('error', (error) => (failure = error));
  running.add(child);
  const ended = new Promise((resolve) => child.on('close', resolve));
  ended.then(() => running.delete(child));
  const hasEnded = () => failure || child.exitCode !== null || child.signalCode !== null;
  /** Throws if the process is not running. */
  const check = () => {
    if (failure) throw failure;
    if (hasEnded()) throw new Error(`${command} ended with ${child.exitCode ?? child.signalCode}:\n${output}`);
  };
  return {
    child,
    output: () => output,
    check,
    /**
     * Repeats ready until it does not throw, and returns its result. Throws at once if the process ends.
     * @template T
     * @param {() => T | Promise<T>} ready
     */
    async until(ready) {
      const result = await eventually(() => (hasEnded() ? undefined : ready()), PATIENCE);
      check();
      return /** @type {T} */ (result);
    },
    async stop() {
      if (!hasEnded()) {
        child.kill('SIGCONT');
        child.kill('SIGTERM');
        const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
        await ended;
        clearTimeout(late);
      }
    },
  };
}

/**
 * Starts the service and waits until it is ready.
 * @param {{ store?: string, port?: number, basePath?: string, flags?: string[] }} [options]
 */
export async function startService({ store, port, basePath = '', flags = [] } = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'tallycast-service-'));
  port ??= await freePort();
  const url = `http://127.0.0.1:${port}${basePath}`;
  const service = start(process.env.TALLYCAST_TEST_BINARY ?? 'tallycast', [
    'serve',
    `--listen=127.0.0.1:${port}`,
    '--internal-listen=',
    `--store=${store ?? `sqlite:${join(dir, 'tallycast.db')}`}`,
    '--drain=0s',
    `--base-path=${basePath}`,
    ...flags,
  ]);
  await service.until(async () => {
    const response = await fetch(`${url}/readyz`);
    if (!response.ok) throw new Error(`/readyz answers ${response.status}: ${await response.text()}`);
  }).catch(async (error) => {
    await service.stop();
    throw error;
  });
  return {
    url,
    port,
    output: service.output,
    async stop() {
      await service.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The admin token of all tests. */
export const ADMIN_TOKEN = 'admin-token-of-the-tests';

/** Starts a service with {@link ADMIN_TOKEN}. */
export const ADMIN_FLAG = `--admin-token=${ADMIN_TOKEN}`;

/**
 * Sends a request of the owner, and returns the answer; the service needs {@link ADMIN_FLAG}.
 * @param {string} url of the service
 * @param {string} method
 * @param {string} path below /admin/v1/
 * @param {object} [body]
 */
export async function adminRequest(url, method, path, body) {
  const response = await fetch(`${url}/admin/v1/${path}`, {
    method,
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status}: ${text}`);
  return text && JSON.parse(text);
}

/**
 * Gives a topic a past, by an import; the service needs {@link ADMIN_FLAG}.
 * @param {string} url of the service
 * @param {string} topic that visitors have contributed to
 * @param {number[]} sums of contributions at the end of the days before today, the oldest first
 */
export async function importPast(url, topic, sums) {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/jsonl' };
  const [site, metric, ...key] = topic.split('/');
  const response = await fetch(`${url}/admin/v1/export?${new URLSearchParams({ site, metric, prefix: key.join('/'), format: 'jsonl' })}`, { headers });
  const [header, line] = (await response.text()).split('\n').map((each) => each && JSON.parse(each));
  const { days } = line.history;
  const today = days.at(-1)[0];
  days.unshift(...sums.map((sum, index) => [today - sums.length + index, sum]));
  const imported = await fetch(`${url}/admin/v1/import?mode=replace`, { method: 'POST', headers, body: `${JSON.stringify(header)}\n${JSON.stringify(line)}\n` });
  if (!imported.ok) throw new Error(`${imported.status}: ${await imported.text()}`);
}

/**
 * Runs a command of the program to its end.
 * @param {string[]} args
 */
export async function runCommand(...args) {
  const command = start(process.env.TALLYCAST_TEST_BINARY ?? 'tallycast', args);
  const code = await new Promise((resolve) => command.child.on('close', resolve));
  if (code) throw new Error(`tallycast ${args.join(' ')}: exit ${code}\n${command.output()}`);
}

/**
 * Starts a relay to a local port, as the link between two regions. It delays data, and can be broken and repaired.
 * @param {number} target the port
 * @param {number} delay each way, in milliseconds
 */
export async function startRelay(target, delay) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set();
  let broken = false;
  const server = createServer((client) => {
    const remote = connect(target, '127.0.0.1');
    for (const [from, to] of [[client, remote], [remote, client]]) {
      sockets.add(from);
      from.on('data', (data) => !broken && setTimeout(() => to.writable && to.write(data), delay));
      from.on('error', () => {}); // close follows
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const cut = () => sockets.forEach((socket) => socket.destroy());
  return {
    port: /** @type {import('node:net').AddressInfo} */ (server.address()).port,
    /**
     * Breaks the link, or repairs it: all connections end, and while it is broken new ones carry nothing.
     * @param {boolean} on
     */
    break(on) {
      broken = on;
      cut();
    },
    stop() {
      cut();
      server.close();
    },
  };
}

/**
 * Starts an empty Redis.
 * @param {number} [port] of a stopped one, to start again in its place
 * @param {string[]} [args] further arguments
 */
export async function startRedis(port, args = []) {
  port ??= await freePort();
  const dir = await mkdtemp(join(tmpdir(), 'tallycast-redis-'));
  const redis = start('redis-server', [
    '--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no', ...args,
  ]);
  await redis.until(() => {
    if (!redis.output().includes('Ready to accept connections')) throw new Error(redis.output());
  });
  return {
    url: `redis://127.0.0.1:${port}/0`,
    port,
    /** @param {NodeJS.Signals} signal */
    signal: (signal) => redis.child.kill(signal),
    /** Deletes all data. */
    flush: () =>
      new Promise((resolve, reject) => {
        const connection = connect(port, '127.0.0.1', () => connection.write('FLUSHALL\r\n'));
        connection.on('error', reject);
        connection.once('data', (reply) => {
          connection.destroy();
          if (String(reply).startsWith('+OK')) resolve(undefined);
          else reject(new Error(String(reply)));
        });
      }),
    async stop() {
      await redis.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/**
 * @param {string} url of the service
 * @param {string} topic
 * @param {object} body
 */
async function post(url, topic, body) {
  const response = await fetch(`${url}/v1/${topic}`, { method: 'POST', body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  return response.json();
}

/**
 * Sends one assertion of another visitor.
 * @param {string} url of the service
 * @param {string} topic
 * @param {string} visitor
 * @param {number} amount
 */
export const assertLike = (url, topic, visitor, amount = 1) => post(url, topic, { visitor, amount });

/**
 * Chooses an option as another visitor.
 * @param {string} url of the service
 * @param {string} topic
 * @param {string} visitor
 * @param {number} option
 */
export const assertChoice = (url, topic, visitor, option) => post(url, topic, { visitor, option });

/**
 * @param {string} url of the service
 * @param {string} topic
 * @returns {Promise<number>}
 */
export const countOf = async (url, topic) => (await (await fetch(`${url}/v1/${topic}`)).json()).count;
