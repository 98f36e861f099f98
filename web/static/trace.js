// What the workers saw of our last sessions' requests. Asked for when something happened, not all the time: nothing
// while the page is hidden or the timeline is folded, once a second at most while requests go on, else every 5 s.
const AFTER_OPEN = [150, 600, 1500]; // ms
const AFTER_NEWS = [40, 400];
const REST = 5000;
const PACE = 1000;
const KEEP = 5;

export class Trace extends EventTarget {
  attempts = []; // oldest first: {sid, n, requests, over}

  #pace = 0;

  /** wanted(): whether somebody looks. */
  constructor(session, wanted) {
    super();
    this.session = session;
    this.wanted = wanted;
    session.addEventListener("start", () => { this.attempts = []; });
    session.addEventListener("attempt", ({ detail }) => {
      this.attempts = [...this.attempts, { ...detail, requests: [], over: false }].slice(-KEEP);
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
      const response = await fetch(`/trace?sid=${encodeURIComponent(sid)}`, { cache: "no-store" });
      const requests = response.ok ? await response.json() : [];
      // A worker that died took its ring along: what was seen once stays on the page.
      if (Array.isArray(requests) && requests.length >= attempt.requests.length) {
        const differs = JSON.stringify(requests) !== JSON.stringify(attempt.requests);
        attempt.requests = requests;
        if (differs) this.#changed();
      }
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
