// The cluster as /cluster tells of it, and the orders that a demo takes.
//   change   what is known differs, or was asked for again
import { LIMIT, whileVisible } from "./dom.js";

const EVERY = 3000; // ms while somebody looks,
const HURRY = 400; // and while something is known to change,
const HURRIED = 15_000; // but not for longer than this
const SOON = 300;

export class Cluster extends EventTarget {
  workers = []; // as /cluster lists them, by slot; state "unknown" where it can't be asked
  warnings = [];
  engine = "";
  askedAt = 0; // when it was asked for what is known, performance.now()
  #asking = false;
  #soon = 0;
  #hurry = 0;

  /** workers, workerPort: what is known before it is asked. token: of a demo's page, else undefined. looked(): whether somebody looks. */
  constructor({ workers, workerPort, token, looked }) {
    super();
    this.token = token;
    this.workers = Array.from({ length: workers }, (_, slot) => ({ slot, port: workerPort + slot }));
    whileVisible(EVERY, () => looked() && this.ask());
  }

  of(slot) {
    return this.workers.find((worker) => worker.slot === slot);
  }

  async ask() {
    if (this.#asking || document.hidden) return;
    this.#asking = true;
    const askedAt = performance.now();
    try {
      const response = await fetch("/cluster", { cache: "no-store", signal: AbortSignal.timeout(EVERY) });
      if (!response.ok) throw new Error(`/cluster answered ${response.status}`);
      const { workers, warnings, engine } = await response.json();
      Object.assign(this, { workers: workers ?? [], warnings: warnings ?? [], engine: engine ?? "", askedAt });
    } catch {
      this.workers = this.workers.map((worker) => ({ ...worker, state: "unknown" }));
    }
    this.#asking = false;
    this.dispatchEvent(new Event("change"));
  }

  /** Asks a moment later: the workers' counts follow what happens to a session. */
  soon() {
    this.#soon ||= setTimeout(() => { this.#soon = 0; this.ask(); }, SOON);
  }

  /** Asks at a quicker pace until done() says that what was awaited has come. */
  hurry(done) {
    clearInterval(this.#hurry);
    const until = performance.now() + HURRIED;
    this.#hurry = setInterval(() => {
      if (performance.now() > until || done()) clearInterval(this.#hurry);
      else this.ask();
    }, HURRY);
    this.ask();
  }

  /**
   * Orders what to be done to a slot's worker: "kill" or "restart". Returns why it is refused, or "", as well where no
   * answer came: the worker that was asked may be the one that ended.
   */
  async order(what, slot) {
    try {
      const response = await fetch(`/demo/${what}?slot=${slot}`, { method: "POST", headers: { "X-Samedoor-Token": this.token }, signal: AbortSignal.timeout(LIMIT) });
      const answer = await response.json();
      return answer.ok ? "" : String(answer.error);
    } catch {
      return "";
    }
  }
}
