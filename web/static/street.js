// The columns that the doors and the requests below them share: one lane per worker.
const LANES = 8; // more would be too high to take in: then only those that were touched get a lane

export class Street extends EventTarget {
  slots = [];
  others = 0; // workers without a lane: no request on show came to them
  #all = [];
  #touched = new Set();

  constructor(workers) {
    super();
    this.has(Array.from({ length: workers }, (_, slot) => slot));
  }

  /** The slots of the cluster, as /cluster tells them. */
  has(slots) {
    this.#all = slots;
    this.#lay();
  }

  /** What is on show, as story() tells it: the sessions' owners, and whoever answered or forwarded, get a lane. */
  shows({ sessions, items }) {
    this.#touched = new Set([...sessions.map(({ owner }) => owner), ...items.flatMap(({ slot, via }) => [slot, via])]);
    this.#lay();
  }

  #lay() {
    const touched = [...this.#touched].filter((slot) => Number.isInteger(slot));
    const all = [...new Set([...touched, ...this.#all])];
    const slots = all.slice(0, Math.max(LANES, touched.length)).sort((a, b) => a - b);
    const others = all.length - slots.length;
    if (slots.join() === this.slots.join() && others === this.others) return;
    Object.assign(this, { slots, others });
    this.dispatchEvent(new Event("change"));
  }
}
