// What the host calls. The work itself is in activity.js, which runs without a host, too.

import { Activity, COLS, HEADERS, ROWS } from './activity.js';

const text = new TextEncoder();
let activity = new Activity('{}');

export const lifecycle = {
  describe() {
    return { name: '{{name}}', version: '0.1.0', headerNames: HEADERS };
  },
  configure(config) {
    try {
      activity = new Activity(config);
    } catch (error) {
      throw error.message;
    }
  },
};

export const frameHook = {
  onFrame(frame) {
    // The host compares the pictures: no pixels come into the sandbox for it. A loop over pixels is
    // interpreted, and would take tens of milliseconds for each frame.
    const cells = frame.motionGrid(COLS, ROWS);
    return activity.look(cells).map(([name, value]) => ({ name, value: text.encode(value) }));
  },
};
