import assert from 'node:assert/strict';
import test from 'node:test';

import { Activity, COLS, ROWS } from './activity.js';

test('half a picture that changes is half of it', () => {
  const activity = new Activity('{}');
  assert.deepEqual(activity.look([])[1], ['{{name}}.state', 'still']);
  const half = Array.from({ length: COLS * ROWS }, (_, cell) => (cell % 2) * 40);
  const expected = [['{{name}}.share', '0.500'], ['{{name}}.state', 'moving']];
  assert.deepEqual(activity.look(half), expected);
});

test('what can not be is refused with its key', () => {
  for (const [config, words] of [
    ['{"moving_from": 2}', /^moving_from: must be 0 to 1$/],
    ['{"threshold": 1.5}', /^threshold: must be 1 to 255$/],
    ['{"speed": 1}', /^speed: unknown/],
  ]) {
    assert.throws(() => new Activity(config), { message: words });
  }
});
