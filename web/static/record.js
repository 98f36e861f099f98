// What the browser sees of a session: its XHRs with their bodies, and the frames of its WebSocket. It looks on through
// the client's own transport classes, which it extends and hands to this page's Manager alone; nothing global is
// wrapped, nothing is sent. While nobody looks it keeps nothing.
import { WebSocket, XHR } from "./socket.io.esm.min.js";
import { packetText, remembered } from "./packets.js";

const SESSIONS = 6;
const FIRST = 12; // requests of a session that are kept from its beginning…
const LAST = 120; // …and from its end
const FRAMES = 100; // frames that are kept; all are counted

// Tells of "change" (a request, or what became of a session), of "request" (one was answered) and of "frame".
export class Recorder extends EventTarget {
  #sessions = new Map();

  /** wanted(): whether somebody looks. */
  constructor(wanted) {
    super();
    this.wanted = wanted;
    this.transports = [polling(this), websocket(this)];
  }

  /** {sid, requests, probe, frames, upgradedAt, failedAt, lostAt, reason} or undefined. */
  of(sid) {
    return this.#sessions.get(sid);
  }

  session(sid) {
    let one = this.#sessions.get(sid);
    if (!one) {
      one = { sid, requests: [], probe: [], frames: noFrames(), upgradedAt: 0, failedAt: 0, lostAt: 0, reason: "" };
      this.#sessions.set(sid, one);
      if (this.#sessions.size > SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value);
    }
    return one;
  }

  /** Follows a session's upgrade and its end. */
  follow(session) {
    session.addEventListener("attempt", ({ detail: { sid } }) => {
      const { engine } = session.manager;
      engine.on("upgrade", () => this.mark(sid, { upgradedAt: Date.now() }));
      engine.on("upgradeError", () => this.mark(sid, { failedAt: Date.now() }));
      engine.on("close", (reason) => this.mark(sid, { lostAt: Date.now(), reason }));
    });
  }

  /** Forgets what a session's requests and frames were. */
  clear(sid) {
    const one = this.#sessions.get(sid);
    if (one) Object.assign(one, { requests: [], probe: [], frames: noFrames() });
  }

  mark(sid, what) {
    Object.assign(this.session(sid), what);
    this.changed();
  }

  /** A request begins; the function returned is called with what answered it: (status, text, worker). */
  asks(sid, method, sent) {
    const at = Date.now();
    const begun = performance.now();
    return (status, text, worker = null) => {
      if (!this.wanted()) return;
      const of = sid ?? opened(text);
      if (!of) return; // nothing opened: there is no session to show it in
      const { requests } = this.session(of);
      requests.push({
        step: !sid ? "open" : method === "POST" ? "post" : "poll", method, at, ms: performance.now() - begun, status, worker,
        sent: remembered(sent), received: remembered(text),
      });
      if (requests.length > FIRST + LAST) requests.splice(FIRST, 1);
      this.changed();
      this.dispatchEvent(new Event("request"));
    };
  }

  frame(sid, dir, packet) {
    if (!sid || !this.wanted()) return;
    const one = this.session(sid);
    const { frames, upgradedAt, probe } = one;
    const seen = { at: Date.now(), dir, text: remembered(packetText(packet)) };
    if (!upgradedAt && (packet.data === "probe" || packet.type === "upgrade")) probe.push(seen);
    else {
      frames[dir] += 1;
      if (packet.type === "ping" || packet.type === "pong") frames.heartbeats += 1;
      frames.list.push(seen);
      if (frames.list.length > FRAMES) frames.list.shift();
    }
    this.dispatchEvent(new Event("frame"));
  }

  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

const noFrames = () => ({ sent: 0, received: 0, heartbeats: 0, list: [] });

// The sid in an answer to the open request: 0{"sid":"…"}.
function opened(text) {
  try { return JSON.parse(text.slice(1).split("\x1e")[0]).sid; } catch { return null; }
}

const polling = (recorder) => class extends XHR {
  request(options = {}) {
    const answered = recorder.asks(this.query.sid, options.method ?? "GET", options.data);
    const request = super.request(options);
    request.on("data", (text) => answered(200, text));
    request.on("error", (status, xhr) => answered(typeof status === "number" ? status : 0, xhr?.responseText, header(xhr)));
    return request;
  }
};

// Across origins it may be unreadable, and asking for it would put an error on the console.
function header(xhr) {
  if (!xhr?.responseURL || new URL(xhr.responseURL).origin !== location.origin) return null;
  const slot = xhr.getResponseHeader("X-Samedoor-Worker");
  return slot ? Number(slot) : null;
}

const websocket = (recorder) => class extends WebSocket {
  write(packets) {
    for (const packet of packets) recorder.frame(this.query.sid, "sent", packet);
    super.write(packets);
  }
  onPacket(packet) {
    recorder.frame(this.query.sid, "received", packet);
    super.onPacket(packet);
  }
};
