// The chat as a model: what was said in a room, what waits to be said, who is here. No DOM.
//   room     {renamed}  me.room is another one; renamed: by the server, as it takes no such name
//   welcome  {back, missed, gap, quiet}  the room was joined, or joined again; quiet: it was left on purpose
//   said     [message…]  in the room's one order; a message with `mine` was ours, one of the `past` is history
//   outbox   entry       {id, text, room, state: pending|sent|failed|gone, error}
//   people   someone came or went
//   typing   {name, on}
import { uuid } from "./dom.js";

const ACK = 5000; // ms
const SEEN = 2000; // offsets remembered: a welcome repeats 500 at most
const LAST = 50; // messages that a welcome holds for who names no offset

export class Chat extends EventTarget {
  people = new Map(); // "slot name" → {name, slot, n}: n of them are not to be told apart; who came last stands last
  count = 0;
  outbox = new Map();
  #seen = new Set();
  #offset = null;
  #here = false;
  #been = false;
  #quiet = false;

  /** me: {name, room, client}; name may be empty, then the server gives one. store keeps what is not sent yet. */
  constructor(me, store) {
    super();
    this.me = me;
    this.store = store;
    for (const entry of kept(store)) this.outbox.set(entry.id, entry);
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
    this.socket.on("disconnect", () => {
      this.#here = false;
      if (this.#quiet) return; // for a moment: nobody need see it
      this.people.clear();
      this.count = 0;
      this.#emit("people");
    });
  }

  get here() {
    return this.#here;
  }

  /** What of this room is not stored yet, oldest first. */
  waiting() {
    return [...this.outbox.values()].filter((entry) => entry.room === this.me.room && entry.state !== "sent");
  }

  /** Accepts a text at once; it goes out when the room is joined. */
  say(text) {
    const entry = { id: uuid(), text, room: this.me.room, state: "pending", error: null };
    this.outbox.set(entry.id, entry);
    this.#mark(entry, "pending");
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
    this.#quiet = this.#here;
    this.session.rejoin();
  }

  move(room) {
    this.me.room = room;
    this.#offset = null;
    this.#been = false;
    this.#seen.clear();
    this.people.clear();
    this.#emit("room", { renamed: false });
    this.session.rejoin();
  }

  #welcome(welcome) {
    const history = Array.isArray(welcome.history) ? welcome.history : [];
    this.#called(welcome.room);
    if (!this.me.name) this.given = welcome.name;
    this.name = String(welcome.name);
    this.slot = welcome.slot;
    const [back, quiet] = [this.#been, this.#quiet];
    this.#here = this.#been = true;
    this.#quiet = false;
    const missed = back ? history.filter((message) => !this.#seen.has(message.offset) && !this.outbox.has(message.id)).length : 0;
    const gap = welcome.truncated === true || (back && this.#offset === null && history.length >= LAST);
    this.#emit("welcome", { back, missed, gap, quiet });
    this.#said(history.map((message) => ({ ...message, past: !back })));
    // What is stored and does not come back stands among what is not shown.
    if (gap) for (const entry of [...this.outbox.values()]) if (entry.state === "sent") this.#mark(entry, "gone");
    this.people.clear();
    for (const one of Array.isArray(welcome.members) ? welcome.members : []) this.#came(one);
    this.count = welcome.count ?? this.people.size;
    this.#emit("people");
    // The server stores an id once, so what may or may not have arrived is simply sent again.
    for (const entry of this.waiting()) if (entry.state === "pending") this.#send(entry);
  }

  // The server has the last word on a room's name: it may be too long, or hold what can't be seen.
  #called(room) {
    if (typeof room !== "string" || room === this.me.room) return;
    for (const entry of this.outbox.values()) if (entry.room === this.me.room) entry.room = room;
    this.me.room = room;
    this.#emit("room", { renamed: true });
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
      if (mine) this.#keep();
      fresh.push(mine ? { ...message, mine } : message);
    }
    if (this.#seen.size > 2 * SEEN) this.#seen = new Set([...this.#seen].slice(-SEEN));
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
    if (state === "gone") this.outbox.delete(entry.id);
    this.#keep();
    this.#emit("outbox", entry);
  }

  #keep() {
    this.store.set("samedoor.outbox", JSON.stringify([...this.outbox.values()].filter(({ state }) => state !== "sent")));
  }

  #presence({ joined = [], left = [], count } = {}) {
    for (const one of left) this.#went(one);
    for (const one of joined) this.#came(one);
    this.count = count ?? this.people.size;
    this.#emit("people");
  }

  #came({ name, slot }) {
    const known = this.people.get(`${slot} ${name}`);
    if (known) known.n++;
    else this.people.set(`${slot} ${name}`, { name: String(name), slot, n: 1 });
  }

  #went({ name, slot }) {
    const known = this.people.get(`${slot} ${name}`);
    if (known && --known.n === 0) this.people.delete(`${slot} ${name}`);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What an earlier load of this tab could not send: it goes out under the same ids. */
function kept(store) {
  try {
    const entries = JSON.parse(store.get("samedoor.outbox") ?? "[]");
    return entries.filter((entry) => typeof entry?.id === "string" && typeof entry.text === "string");
  } catch {
    return [];
  }
}
