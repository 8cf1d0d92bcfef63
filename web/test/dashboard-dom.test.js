/** Functions of the dashboard that need no browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latest } from '../admin/src/dom.js';

test('latest: one work at a time, and none after the end of the view', () => {
  const view = new AbortController();
  const load = latest(view.signal, (signal) => signal);
  const first = load();
  const second = load();
  assert.deepEqual([first.aborted, second.aborted], [true, false]);
  view.abort();
  assert.deepEqual([second.aborted, load().aborted], [true, true]);
});
