// Says how much of each picture moves. Make of it what you need.

// The grid on which pictures are compared.
export const COLS = 32;
export const ROWS = 18;

// The host refuses results with any other name.
export const HEADERS = ['{{name}}.share', '{{name}}.state'];

// What `config` of a camera's plugin may say.
const DEFAULTS = {
  // By how much the luma of a cell has to differ from the picture before, 1 to 255.
  threshold: 12,
  // From which share of the cells on a picture is `moving`, 0 to 1.
  moving_from: 0.02,
};

export class Activity {
  constructor(config) {
    const given = JSON.parse(config);
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(DEFAULTS, key)) {
        throw new Error(`${key}: unknown; there are ${Object.keys(DEFAULTS).join(', ')}`);
      }
    }
    const { threshold, moving_from } = { ...DEFAULTS, ...given };
    if (!Number.isInteger(threshold) || threshold < 1 || threshold > 255) {
      throw new Error('threshold: must be 1 to 255');
    }
    if (typeof moving_from !== 'number' || !(moving_from >= 0 && moving_from <= 1)) {
      throw new Error('moving_from: must be 0 to 1');
    }
    this.threshold = threshold;
    this.movingFrom = moving_from;
  }

  // The results for a picture whose cells differ so much from the one before. There are none where
  // there is nothing to compare with.
  look(cells) {
    let moving = 0;
    // `for … of` takes four times as long where it is interpreted.
    for (let cell = 0; cell < cells.length; cell += 1) {
      moving += cells[cell] >= this.threshold ? 1 : 0;
    }
    const share = moving / (COLS * ROWS);
    const state = share >= this.movingFrom ? 'moving' : 'still';
    return [share.toFixed(3), state].map((value, at) => [HEADERS[at], value]);
  }
}
