// The columns that the doors and the requests below them share: one lane per worker.
import { ownerOf } from "./slots.js";

const LANES = 8; // more would be too narrow to read: then only the doors that matter get a lane

export class Street extends EventTarget {
  slots = [];
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

  /** The sessions on show: their owners, and whoever answered, get a lane. */
  shows(attempts) {
    this.#touched = new Set(attempts.flatMap(({ sid, requests }) => [ownerOf(sid), ...requests.flatMap((r) => [r.slot, r.via])]));
    this.#lay();
  }

  #lay() {
    const touched = [...this.#touched].filter((slot) => Number.isInteger(slot));
    const all = [...new Set([...this.#all, ...touched])].sort((a, b) => a - b);
    let slots = all;
    if (all.length > LANES) {
      const first = [...touched, ...all].filter((slot, i, list) => list.indexOf(slot) === i).slice(0, LANES);
      slots = first.sort((a, b) => a - b);
    }
    this.hidden = all.length - slots.length;
    if (slots.join() === this.slots.join()) return;
    this.slots = slots;
    this.dispatchEvent(new Event("change"));
  }
}
