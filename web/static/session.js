// One Manager, two namespaces, and what becomes of them. Every other part reads `state` and listens for:
//   change   something in `state` differs
//   start    the button was pressed
//   attempt  an Engine.IO session was opened: {sid, n}
//   news     its workers have something new to tell (upgraded, refused, closed): {sid}
//   lost     an attempt or a connection ended: {sid, error}
import { Manager } from "./socket.io.esm.min.js";

const DELAY = 500; // ms before the first reconnection…
const DELAY_MAX = 2000; // …growing to this, so that a failing handshake can be read

const SETTLED = 5000; // ms over polling after which all is taken to be well

const REST = 100; // ms between leaving `/` and joining it anew: the library closes the connection of who is quicker

export class Session extends EventTarget {
  state = {
    wanted: false, // the button says so
    phase: "idle", // idle, connecting, open (has a sid), joined (both namespaces), waiting (for the next attempt)
    tries: 0, // attempts since all was well
    broken: 0, // those of them that were refused: 400
    sid: null,
    transport: "disconnected",
    startedAt: 0, // of this attempt, performance.now()
    joinedAt: 0,
    upgradedAt: 0,
    upgradeFailed: false,
    error: null, // why the last attempt or connection ended, see explain()
    away: 0, // ms without a connection before this one
    worker: null,
    replies: { "/": null, "/ws": null },
  };
  #lostAt = 0;
  #calm = 0;

  /**
   * url: the origin to connect to, empty for the page's own. auth: given to `/`, as Socket.IO's auth function.
   * transports: the client's, or classes that extend them.
   */
  constructor({ url, auth, transports }) {
    super();
    this.origin = url || location.origin;
    const manager = (this.manager = new Manager(this.origin, {
      autoConnect: false,
      reconnectionDelay: DELAY,
      reconnectionDelayMax: DELAY_MAX,
      randomizationFactor: 0.2,
      timeout: 8000,
      transports,
    }));
    this.root = manager.socket("/", { auth });
    this.ws = manager.socket("/ws");
    manager.on("open", () => this.#opened());
    manager.on("error", (error) => this.state.phase === "connecting" && this.#ended(error));
    manager.on("close", (reason, error) => this.#ended(error, reason));
    manager.on("reconnect_attempt", () => this.#starts());
    for (const [name, socket] of [["/", this.root], ["/ws", this.ws]]) {
      socket.on("connect", () => this.#joined(name, socket));
      socket.on("connect_error", (error) => this.#refused(name, socket, error));
      socket.on("disconnect", (reason) => this.#left(socket, reason));
      socket.on("s:message", (text, by) => this.#answered(name, text, by));
    }
  }

  connect() {
    this.#lostAt = 0;
    this.#update({ wanted: true, tries: 0, broken: 0, error: null, sid: null });
    this.#emit("start");
    this.#starts();
    this.root.connect();
    this.ws.connect();
  }

  disconnect() {
    this.#update({ wanted: false });
    this.root.disconnect();
    this.ws.disconnect();
  }

  /** Joins `/` anew, with fresh auth, over the connection there is. */
  rejoin() {
    if (!this.state.wanted) return;
    this.root.disconnect();
    setTimeout(() => this.state.wanted && this.root.connect(), REST);
  }

  #starts() {
    this.#update({ phase: "connecting", tries: this.state.tries + 1, startedAt: performance.now() });
  }

  #opened() {
    const engine = this.manager.engine;
    const sid = engine.id;
    engine.on("upgrade", (transport) => {
      this.#update({ transport: transport.name, upgradedAt: performance.now() });
      this.#news(sid);
      this.#settle();
    });
    engine.on("upgradeError", () => {
      this.#update({ upgradeFailed: true });
      this.#news(sid);
      this.#freeStuck(engine);
    });
    this.#update({
      phase: "open", sid, transport: engine.transport.name, upgradedAt: 0, joinedAt: 0, upgradeFailed: false,
      away: this.#lostAt ? performance.now() - this.#lostAt : 0,
    });
    this.#emit("attempt", { sid, n: this.state.tries });
  }

  // A client that lost its WebSocket between the probe's answer and the upgrade has paused its polling, and never
  // resumes it: it would hang until the ping timeout, 45 s later. It happens where the two went through different
  // workers and one of them died.
  #freeStuck(engine) {
    if (!engine.transport.readyState.startsWith("paus") || !this.state.wanted) return;
    this.root.disconnect().connect();
    this.ws.disconnect().connect();
  }

  #joined(name, socket) {
    socket.emit("b:message", {});
    if (!this.root.connected || !this.ws.connected || this.state.phase === "joined") return;
    this.#update({ phase: "joined", joinedAt: performance.now() });
    this.#news(this.state.sid);
    this.#settle();
  }

  // All is well once both namespaces are joined over a WebSocket, or have lasted over polling.
  #settle() {
    clearTimeout(this.#calm);
    if (this.state.phase !== "joined") return;
    const well = () => {
      this.manager.reconnectionDelay(DELAY);
      this.#update({ tries: 1, error: null });
    };
    if (this.state.transport === "websocket") well();
    else this.#calm = setTimeout(well, SETTLED);
  }

  #refused(name, socket, error) {
    if (socket.active) return; // a transport's error: the manager tells of it, and tries again
    this.#update({ error: { kind: "namespace", text: `${name}: ${error.message}` } });
  }

  #left(socket, reason) {
    // The only reason after which Socket.IO does not come back by itself.
    if (reason === "io server disconnect" && this.state.wanted) setTimeout(() => this.state.wanted && socket.connect(), DELAY);
  }

  #answered(name, text, by) {
    const replies = { ...this.state.replies, [name]: text };
    const worker = Number.isInteger(by?.slot) ? by.slot : this.state.worker;
    this.#update({ replies, worker });
  }

  #ended(error, reason) {
    clearTimeout(this.#calm);
    const { sid, wanted, phase, tries, broken, joinedAt, upgradedAt } = this.state;
    const wasWell = phase === "joined" && (upgradedAt > 0 || performance.now() - joinedAt >= SETTLED);
    const why = wanted ? this.#explain(error, reason, phase) : null;
    this.#update({
      phase: wanted ? "waiting" : "idle",
      transport: "disconnected",
      worker: null,
      replies: { "/": null, "/ws": null },
      tries: wasWell ? 0 : tries,
      broken: (wasWell ? 0 : broken) + (why?.status === 400 ? 1 : 0),
      error: why,
    });
    if (!this.#lostAt || wasWell) this.#lostAt = performance.now();
    this.manager.reconnectionDelay(Math.min(DELAY_MAX, DELAY * 1.4 ** this.state.tries));
    if (phase !== "connecting") this.#emit("lost", { sid, error: this.state.error });
  }

  /** What the browser can tell of the end. A WebSocket's status is hidden from JavaScript: that is what /trace is for. */
  #explain(error, reason, phase) {
    const status = typeof error?.description === "number" ? error.description : null;
    const xhr = error?.context;
    let text = error?.message ?? reason ?? "";
    let worker = null;
    if (typeof xhr?.responseText === "string" && xhr.responseText.startsWith("{")) {
      try { text = JSON.parse(xhr.responseText).message || text; } catch { /* not the engine's answer */ }
    }
    // Across origins the header may be unreadable, and asking for it would put an error on the console.
    if (xhr?.getResponseHeader && this.origin === location.origin) {
      const header = xhr.getResponseHeader("X-Samedoor-Worker");
      if (header) worker = Number(header);
    }
    const kind = phase === "joined" ? "lost" : phase === "open" ? "broken" : "unreachable";
    return { kind, status, text, reason: reason ?? null, worker, sid: phase === "connecting" ? null : this.state.sid };
  }

  #news(sid) {
    this.#emit("news", { sid });
  }

  #update(changes) {
    Object.assign(this.state, changes);
    this.#emit("change", this.state);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
