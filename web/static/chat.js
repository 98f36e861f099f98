// The chat as a model: what was said in a room, what waits to be said, who is here. No DOM.
//   welcome  {room, gap, missed}     the room was joined, or joined again
//   said     [message…]              in the room's one order; a message with `mine` was ours
//   outbox   entry                   {id, text, room, state: pending|sent|failed, error}
//   people   {members, count}
//   typing   {name, on}
import { uuid } from "./dom.js";

const ACK = 5000; // ms

export class Chat extends EventTarget {
  members = [];
  count = 0;
  outbox = new Map();
  #seen = new Set();
  #offset = null;
  #here = false;

  /** me: {name, room, client}; name may be empty, then the server gives one. */
  constructor(me) {
    super();
    this.me = me;
    this.auth = (give) => give({
      name: me.name || this.given || undefined,
      room: me.room,
      client: me.client,
      offset: this.#offset ?? undefined,
    });
  }

  attach(session) {
    this.socket = session.root;
    this.session = session;
    this.socket.on("welcome", (welcome) => this.#welcome(welcome));
    this.socket.on("chat", (message) => this.#said([message]));
    this.socket.on("presence", (change) => this.#presence(change));
    this.socket.on("typing", ({ name, on } = {}) => this.#emit("typing", { name: String(name), on: on === true }));
    this.socket.on("disconnect", () => { this.#here = false; });
  }

  get here() {
    return this.#here;
  }

  /** Accepts a text at once; it goes out when the room is joined. */
  say(text) {
    const entry = { id: uuid(), text, room: this.me.room, state: "pending", error: null };
    this.outbox.set(entry.id, entry);
    this.#emit("outbox", entry);
    this.#send(entry);
  }

  retry(id) {
    const entry = this.outbox.get(id);
    if (!entry || entry.state !== "failed") return;
    this.#mark(entry, "pending");
    this.#send(entry);
  }

  typing(on) {
    if (this.#here) this.socket.volatile.emit("typing", { on });
  }

  rename(name) {
    this.me.name = name;
    this.given = null;
    this.session.rejoin();
  }

  move(room) {
    this.me.room = room;
    this.#offset = null;
    this.#seen.clear();
    this.session.rejoin();
  }

  #welcome(welcome) {
    const history = Array.isArray(welcome.history) ? welcome.history : [];
    const back = this.#offset !== null;
    if (!this.me.name) this.given = welcome.name;
    this.name = welcome.name;
    this.slot = welcome.slot;
    this.#here = true;
    const missed = back ? history.filter((message) => !this.#seen.has(message.offset) && !this.outbox.has(message.id)).length : 0;
    this.#emit("welcome", { room: welcome.room, back, missed, gap: welcome.truncated === true });
    this.#said(history);
    this.members = Array.isArray(welcome.members) ? [...welcome.members] : [];
    this.count = welcome.count ?? this.members.length;
    this.#emit("people");
    // The server stores an id once, so what may or may not have arrived is simply sent again.
    for (const entry of this.outbox.values()) {
      if (entry.room === this.me.room && entry.state === "pending") this.#send(entry);
    }
  }

  // Resuming and live delivery may overlap: the offset decides, and it alone moves the place to resume from.
  #said(messages) {
    const fresh = [];
    for (const message of messages) {
      if (!message || this.#seen.has(message.offset)) continue;
      this.#seen.add(message.offset);
      this.#offset = message.offset;
      // Ids are random and secret until delivered, so the first to come back with ours is ours.
      const mine = this.outbox.delete(message.id);
      fresh.push({ ...message, mine });
    }
    if (fresh.length) this.#emit("said", fresh);
  }

  #send(entry) {
    if (!this.#here) return; // sent upon the next welcome
    this.socket.timeout(ACK).emit("chat", { id: entry.id, text: entry.text }, (error, ack) => {
      if (!this.outbox.has(entry.id)) return; // it came back meanwhile
      if (ack?.ok) this.#mark(entry, "sent");
      else if (ack) this.#mark(entry, "failed", String(ack.error ?? "refused"));
      else if (this.socket.connected && this.#here) this.#mark(entry, "failed", `no answer within ${ACK / 1000} s`);
      // else the connection went: it stays pending, and goes out again with the same id
    });
  }

  #mark(entry, state, error = null) {
    Object.assign(entry, { state, error });
    this.#emit("outbox", entry);
  }

  #presence({ joined = [], left = [], count } = {}) {
    for (const gone of left) {
      const at = this.members.findIndex((one) => one.name === gone.name && one.slot === gone.slot);
      if (at >= 0) this.members.splice(at, 1);
    }
    this.members.push(...joined);
    this.count = count ?? this.members.length;
    this.#emit("people");
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
