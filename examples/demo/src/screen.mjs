// What the demo prints: steps, progress bars where they can move, a table.

const BAR_WIDTH = 24;
const FRAME_MS = 50;
const LABEL_WIDTH = 46;

export class Screen {
  #out;
  #moving;

  constructor(out) {
    this.#out = out;
    this.#moving = out.isTTY === true;
  }

  line(text = '') {
    this.#out.write(`${text}\n`);
  }

  /** Shows a step while it runs, and how long it took. `work` gets a function that takes how much is done. */
  async step(label, total, work) {
    const begin = performance.now();
    let drawn = 0;
    const report = (done) => {
      const now = performance.now();
      if (this.#moving && total > 0 && now - drawn >= FRAME_MS) {
        drawn = now;
        this.#out.write(`\r\x1b[K${left(label)} ${bar(done / total)} ${done}/${total}`);
      }
    };
    const end = (text) => this.#out.write(`${this.#moving ? '\r\x1b[K' : ''}${left(label)}${text}\n`);
    report(0);
    try {
      const result = await work(report);
      const took = `${Math.round(performance.now() - begin)} ms`.padStart(9);
      end(total > 0 ? `${took} ${bar(1)} ${total}` : took);
      return result;
    } catch (error) {
      end('   failed');
      throw error;
    }
  }

  table(rows) {
    const width = Math.max(...rows.map(([name]) => name.length));
    const values = Math.max(...rows.map(([, value]) => value.length));
    for (const [name, value, unit] of rows) {
      this.line(`  ${name.padEnd(width)}  ${value.padStart(values)} ${unit}`);
    }
  }
}

function left(label) {
  return `  ${label}`.padEnd(LABEL_WIDTH);
}

function bar(fraction) {
  const full = Math.round(Math.min(Math.max(fraction, 0), 1) * BAR_WIDTH);
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
}
