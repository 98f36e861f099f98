// What the workers saw of our last sessions' requests. Asked for when something happened, not all the time: nothing
// while the page is hidden or the timeline is folded, once a second at most while requests go on, else every 5 s.
import { LIMIT } from "./dom.js";

const AFTER_OPEN = [150, 600, 1500]; // ms
const AFTER_NEWS = [40, 400];
const REST = 5000;
const PACE = 1000;
const KEEP = 5;
const OVERLAP = 60_000; // ms: a poll is recorded when it is answered, as of when it was asked
const FIRST = 50; // requests of a session that are kept from its beginning…
const LAST = 400; // …and from its end; in between only those that went wrong
const ORDER = ["open", "post", "poll", "upgrade", "close"]; // of one millisecond, as the workers sort them

export class Trace extends EventTarget {
  attempts = []; // oldest first: {sid, n, nth, requests, over}; n: of the attempts at one connection, nth: of all since Connect

  #pace = 0;

  /** wanted(): whether somebody looks. */
  constructor(session, wanted) {
    super();
    this.session = session;
    this.wanted = wanted;
    session.addEventListener("start", () => { this.attempts = []; });
    session.addEventListener("attempt", ({ detail }) => {
      this.attempts = [...this.attempts, { ...detail, nth: (this.attempts.at(-1)?.nth ?? 0) + 1, requests: [], dropped: 0, over: false }].slice(-KEEP);
      this.#changed();
      this.#askSoon(detail.sid, AFTER_OPEN);
    });
    session.addEventListener("news", ({ detail }) => this.#askSoon(detail.sid, AFTER_NEWS));
    session.addEventListener("lost", ({ detail }) => {
      const attempt = this.of(detail.sid);
      if (!attempt) return;
      attempt.over = true;
      this.#changed();
      this.#askSoon(detail.sid, AFTER_NEWS);
    });
    setInterval(() => this.refresh(), REST);
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** The attempt to speak of: one that has nothing to tell yet does not push away the one that has. */
  get shown() {
    const last = this.attempts.at(-1);
    const early = this.attempts.length > 1 && this.session.state.phase !== "joined" && last.requests.length < (last.over ? 1 : 2);
    return early ? this.attempts.at(-2) : last;
  }

  of(sid) {
    return this.attempts.find((attempt) => attempt.sid === sid);
  }

  /** Asks for the session in use, if there is one and somebody looks. */
  refresh() {
    const last = this.attempts.at(-1);
    if (last && !last.over) this.#ask(last.sid);
  }

  /** Asks a moment later: the browser saw a request end. */
  nudge() {
    this.#pace ||= setTimeout(() => { this.#pace = 0; this.refresh(); }, PACE);
  }

  #askSoon(sid, delays) {
    for (const delay of delays) setTimeout(() => this.#ask(sid), delay);
  }

  async #ask(sid) {
    const attempt = this.of(sid);
    if (!attempt || attempt.asking || !this.wanted()) return;
    attempt.asking = true;
    try {
      const since = attempt.requests.length > FIRST ? attempt.requests.at(-1).at - OVERLAP : 0;
      const response = await fetch(`/trace?sid=${encodeURIComponent(sid)}${since ? `&since=${since}` : ""}`, { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
      const requests = response.ok ? await response.json() : [];
      if (Array.isArray(requests) && renew(attempt, requests)) this.#changed();
    } catch {
      /* the server is away: the session says so */
    } finally {
      attempt.asking = false;
    }
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/**
 * Adds what the workers tell to an attempt, and tells whether that changed it. What is not told any more stays: a worker
 * that died took its account along, a busy one remembers the latest only.
 */
export function renew(attempt, told) {
  const known = new Set(attempt.requests.filter(({ at }) => at >= told[0]?.at).map((request) => JSON.stringify(request)));
  const fresh = told.filter((request) => request.at > (attempt.droppedTo ?? -1) && !known.has(JSON.stringify(request)));
  if (!fresh.length) return false;
  const all = [...attempt.requests, ...fresh].sort((a, b) => a.at - b.at || ORDER.indexOf(a.step) - ORDER.indexOf(b.step));
  const kept = (request, i) => i < FIRST || i >= all.length - LAST || request.status >= 400;
  attempt.droppedTo = all.findLast((request, i) => !kept(request, i))?.at ?? attempt.droppedTo; // told again, it is not new
  attempt.requests = all.filter(kept);
  attempt.dropped += all.length - attempt.requests.length;
  return true;
}
