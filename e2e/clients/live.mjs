// Clients that stay: they chat as the page does (an id of its own for each message, sent again until it is
// acknowledged, and the offset to resume from), echo and type, and note all that happens to them.
import { randomUUID } from "node:crypto";
import { address, Door } from "./door.mjs";

const ACK = 6000; // ms that an answer may take; the server promises less
const AGAIN = 300; // ms after which a refused message is sent again
const now = () => Date.now();

class Live {
  seen = []; // [offset, id] in the order they came, twice if they came twice
  truncated = 0;
  stuck = 0;
  welcomes = 0;
  disconnects = []; // reasons
  failed = {}; // why connecting failed to how often
  outbox = new Map(); // id to {id, text}: not acknowledged yet
  acked = []; // [id, offset]
  answers = []; // of chat: {at, ms, ok, error}; error "lost" when the connection went first
  echoes = { sent: 0, answered: 0, wrong: 0, worst: 0, worstAt: 0 };
  typed = []; // when it was told that somebody types
  slot = -1;
  sid = "";
  here = false;
  serial = 0;

  constructor(io, i, config) {
    this.i = i;
    this.config = config;
    this.from = config.addresses ? address(i, config.addresses) : "";
    this.door = new Door(this.from, false);
    this.key = randomUUID();
    this.offset = config.offset ?? null;
    this.io = io;
  }

  async start() {
    const { url, route, room } = this.config;
    const target = await this.door.route(url, route);
    const socket = (this.socket = this.io(target, {
      forceNew: true,
      agent: this.door,
      reconnectionDelay: 100,
      reconnectionDelayMax: 500,
      timeout: 8000,
      auth: (give) => give({ name: `client ${this.i}`, room, client: this.key, offset: this.offset ?? undefined }),
    }));
    // Where the probe's WebSocket ends while polling is being paused for it, the client would hang until its ping
    // timeout: neither transport goes on. It happens where the two go through different workers and one dies.
    socket.io.on("open", () => {
      const { engine } = socket.io;
      engine.on("upgradeError", () => {
        if (!engine.transport.readyState.startsWith("paus")) return;
        this.stuck++;
        socket.disconnect().connect();
      });
    });
    socket.on("welcome", (w) => {
      this.welcomes++;
      this.slot = w.slot;
      this.sid = socket.io.engine.id;
      this.here = true;
      if (w.truncated) this.truncated++;
      for (const m of w.history) this.see(m);
      for (const entry of this.outbox.values()) this.send(entry);
    });
    socket.on("chat", (m) => this.see(m));
    socket.on("typing", () => this.typed.push(now()));
    socket.on("disconnect", (reason) => {
      this.here = false;
      this.disconnects.push(reason);
      // The only reason after which Socket.IO does not come back by itself.
      if (reason === "io server disconnect") setTimeout(() => socket.connect(), AGAIN);
    });
    socket.on("connect_error", (error) => {
      const why = error.context?.responseText || error.description?.message || error.message;
      this.failed[why] = (this.failed[why] ?? 0) + 1;
    });
  }

  see(m) {
    this.seen.push([m.offset, m.id]);
    this.offset = m.offset;
  }

  say() {
    const id = `${this.i}-${this.serial++}`;
    const entry = { id, text: `message ${id}` };
    this.outbox.set(id, entry);
    this.send(entry);
  }

  send(entry) {
    if (!this.here) return; // goes out upon the next welcome
    const at = now();
    this.socket.timeout(ACK).emit("chat", entry, (error, ack) => {
      const ok = !error && ack.ok === true;
      this.answers.push({ at, ms: now() - at, ok, error: ok ? "" : (ack?.error ?? (this.socket.connected ? "no answer" : "lost")) });
      if (ok && this.outbox.delete(entry.id)) this.acked.push([entry.id, ack.offset]);
      else if (!ok) setTimeout(() => this.outbox.has(entry.id) && this.send(entry), AGAIN);
    });
  }

  echo() {
    if (!this.here) return;
    const at = now();
    this.echoes.sent++;
    this.socket.timeout(ACK).emit("echo", at, "é\u0000💡", (error, back, text) => {
      if (error) return;
      this.echoes.answered++;
      if (back !== at || text !== "é\u0000💡") this.echoes.wrong++;
      if (now() - at > this.echoes.worst) Object.assign(this.echoes, { worst: now() - at, worstAt: at });
    });
  }

  type(on) {
    if (this.here) this.socket.emit("typing", { on });
  }

  report() {
    const { i, from: at, sid, slot, here, welcomes, truncated, stuck, disconnects, failed, echoes, typed } = this;
    const statuses = {};
    for (const { status } of this.door.answers) statuses[status] = (statuses[status] ?? 0) + 1;
    return {
      i, address: at, sid, slot, here, welcomes, truncated, stuck, disconnects, failed, echoes, typed, statuses,
      waiting: this.outbox.size, errors: this.door.errors, transport: this.socket?.io.engine?.transport?.name ?? "",
      said: this.serial, acked: this.acked.length, seen: this.seen.length,
    };
  }
}

/** A set of clients that does as it is told, one command after another; each resolves to the answer. */
export function live(io, config) {
  const all = Array.from({ length: config.clients }, (_, i) => new Live(io, i, config));
  const timers = {};
  // Spread over the period, so that the clients don't act all at once.
  const every = (name, ms, act) => {
    stop(name);
    timers[name] = [];
    all.forEach((c, i) => {
      const spread = setTimeout(() => {
        act(c, 0);
        let n = 0;
        timers[name].push(setInterval(() => act(c, ++n), ms));
      }, (ms * i) / all.length);
      timers[name].push(spread);
    });
  };
  const stop = (name) => timers[name]?.forEach((t) => clearTimeout(t));
  return {
    start: () => Promise.all(all.map((c) => c.start())),
    say: ({ client }) => all[client].say(),
    chat: ({ every: ms, messages }) => every("chat", ms, (c) => (messages === undefined || c.serial < messages) && c.say()),
    echo: ({ every: ms }) => every("echo", ms, (c) => c.echo()),
    type: ({ every: ms }) => every("type", ms, (c, n) => c.type(n % 2 === 0)),
    quiet: ({ of }) => stop(of),
    report: () => all.map((c) => c.report()),
    answers: () => all.map((c) => c.answers),
    logs: () => all.map((c) => ({ seen: c.seen, acked: c.acked })),
    forget: () => all.forEach((c) => { c.echoes = { sent: 0, answered: 0, wrong: 0, worst: 0, worstAt: 0 }; c.answers = []; c.typed = []; }),
    stop: () => all.forEach((c) => { c.door.shut(); c.socket?.disconnect(); }),
  };
}
