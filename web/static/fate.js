// What became of a worker, and of your session with it, in one calm sentence, told when it is known how it ended. It is
// taken back once it is true no longer: the connection of which it was told is gone.
//   told   {text, yours, over}   yours: it was your session's worker; over: it only says that what was told last is past
import { byId, count, say } from "./dom.js";
import { ownerOf } from "./slots.js";
import { duration } from "./words.js";

const RECENT = 20_000; // ms for which an order counts as the cause of what follows
const PATIENCE = 6000; // ms that what waits to be sent may take, and /cluster to tell of a successor

export class Fate extends EventTarget {
  #held = null; // {slot, pid}: the worker that holds the session, while there is one
  #loss = null; // {slot, pid, back}: it was lost, and is not accounted for
  #orders = new Map(); // slot → {what, pid, at, lost}: not accounted for
  #timer = 0;
  #stands = false; // it was told that one is back, and one is

  constructor(session, chat, cluster) {
    super();
    Object.assign(this, { session, chat, cluster });
    session.addEventListener("change", () => this.#holds());
    session.addEventListener("lost", () => this.#lost());
    session.addEventListener("start", () => { this.#loss = null; this.#say("", true, true); });
    chat.addEventListener("welcome", ({ detail }) => this.#back(detail));
    chat.addEventListener("outbox", () => this.#tell());
    chat.addEventListener("said", () => this.#tell());
    cluster.addEventListener("change", () => { this.#holds(); this.#tell(); });
  }

  /** An order is on its way. */
  ordered(what, slot) {
    this.#orders.set(slot, { what, pid: this.cluster.of(slot)?.pid, at: performance.now(), lost: false });
    this.#watch();
  }

  /** It is not carried out. */
  refused(what, slot, why) {
    this.#orders.delete(slot);
    this.#say(`Worker ${slot} lives on, the order to ${what} it was refused: ${why}.`, false);
  }

  #watch() {
    this.cluster.hurry(() => !this.#loss && this.#orders.size === 0);
  }

  #holds() {
    const { phase, worker, sid } = this.session.state;
    const slot = phase === "joined" ? (ownerOf(sid) ?? worker) : null;
    if (slot === null) return;
    if (this.#held?.sid !== sid) this.#held = { sid, slot, pid: null };
    this.#held.pid ??= this.cluster.of(slot)?.state === "ready" ? this.cluster.of(slot).pid : null;
  }

  #lost() {
    if (!this.session.state.wanted) {
      this.#held = this.#loss = null;
      return this.#takeBack("You disconnected.");
    }
    if (!this.#held) { // the way back broke: what was lost before still is
      if (this.#loss) this.#loss.back = null;
      return;
    }
    const { slot, pid } = this.#held;
    this.#takeBack(`The connection to worker ${slot} was lost.`);
    this.#held = null;
    this.#loss = { slot, pid, back: null, strayed: this.session.state.error?.status === 400 };
    const order = this.#orders.get(slot);
    if (order) order.lost = true;
    this.#watch();
  }

  #back({ back, gap }) {
    if (!this.#loss) return;
    if (!back) { this.#loss = null; return; } // they went to another room meanwhile: there is nothing to compare
    this.#loss.back = { to: this.chat.slot, after: this.session.state.away, gap, at: performance.now() };
    this.cluster.soon();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), PATIENCE);
  }

  #tell() {
    this.#tellMine();
    for (const [slot, order] of this.#orders) {
      if (performance.now() - order.at > RECENT) this.#expired(slot, order);
      else if (!order.lost && !this.#loss) this.#tellOther(slot, order);
    }
  }

  // Told once all that waited is sent, and it is known whether the worker has a successor; or when neither comes.
  #tellMine() {
    const loss = this.#loss;
    if (!loss?.back) return;
    const now = this.cluster.askedAt > loss.back.at ? this.cluster.of(loss.slot) : undefined;
    const left = !now && this.cluster.askedAt > loss.back.at && this.cluster.workers.length > 0;
    const settled = left || (loss.pid !== null && (now?.state === "ready" || now?.state === "given up"));
    const waiting = this.chat.waiting();
    const late = performance.now() - loss.back.at >= PATIENCE;
    if (!late && (!settled || waiting.some((entry) => entry.state === "pending"))) return;
    const order = this.#orders.get(loss.slot);
    this.#loss = null;
    this.#orders.delete(loss.slot);
    const ended = left ? "left the cluster" : ending(loss, now, order);
    this.#say(sentence({ slot: loss.slot, ended, strayed: loss.strayed, ...loss.back, unsent: waiting.length }), true);
    this.#stands = true;
  }

  #takeBack(text) {
    if (!this.#stands) return;
    this.#stands = false;
    this.#say(text, true, true);
  }

  #expired(slot, { what }) {
    this.#orders.delete(slot);
    if (!this.#loss) this.#say(`Worker ${slot}: nothing came of the order to ${what} it.`, false);
  }

  #tellOther(slot, order) {
    const now = this.cluster.of(slot);
    if (this.#held?.slot === slot) return; // it is ours, and we shall notice
    if (!now || now.state !== "ready" || order.pid === undefined || now.pid === order.pid) return;
    this.#orders.delete(slot);
    const mine = this.#held ? ` Your session lives in worker ${this.#held.slot} and did not notice.` : "";
    this.#say(`Worker ${slot} was ${order.what === "kill" ? "killed" : "restarted"}; its successor is ready.${mine}`, false);
  }

  #say(text, yours, over = false) {
    if (!yours) this.#stands = false; // another sentence took its place
    this.dispatchEvent(new CustomEvent("told", { detail: { text, yours, over } }));
  }
}

/** What became of the worker that was lost; empty if it lives, or nobody knows. */
function ending({ pid }, now, order) {
  if (now?.state === "given up") return "died too often and was given up";
  const living = !now || now.state === "unknown" || pid === null || (now.state === "ready" && now.pid === pid);
  if (living) return "";
  if (order) return order.what === "kill" ? "was killed" : "was restarted";
  return now.state === "ready" ? "ended, and another took its place" : "ended";
}

/** strayed: another worker refused a request. to: the slot one came back to. after: ms. unsent: messages that still wait. */
export function sentence({ slot, ended, strayed, to, after, gap, unsent }) {
  const place = to !== slot ? `worker ${to}` : ended ? "its successor" : "it";
  const lost = gap ? "some messages are not shown" : unsent ? `${count(unsent, "message")} of yours still ${unsent === 1 ? "waits" : "wait"} below` : "nothing was lost";
  const fate = ended ? `Worker ${slot}, which held your session, ${ended}.`
    : strayed ? `Worker ${slot} held your session, another worker refused a request for it (400).`
      : `The connection to worker ${slot} was lost.`;
  return `${fate} You reconnected to ${place} after ${duration(after)}; ${lost}.`;
}

export function showFate(fate) {
  const el = byId("fate");
  const before = el.textContent; // what it says of nothing
  fate.addEventListener("told", ({ detail: { text, yours } }) => {
    say(el, text || before);
    if (!yours) say(byId("announce"), text); // of one's own the conversation tells
  });
}
