// The conversation. What was said stands in the room's order; what is still ours to deliver stands below it. Thousands of
// entries are remembered, and the latest few hundred drawn: whoever reads at the end has no more, however much is said.
import { byId, count, eachFrame, h, say } from "./dom.js";
import { draw, measure } from "./message.js";

const DRAWN = 200; // entries, for who reads at the end
const STEP = 200; // more for who asks for earlier ones
const MOST = 1000; // for who reads further up: what comes then is drawn when they come down
const KEEP = 5000; // entries remembered
const NEAR = 48; // px from the end that count as at the end

export function showLog(chat, session, fate) {
  const log = byId("log");
  const list = byId("log-list");
  const jump = byId("jump");
  const entries = []; // those from `from` to before `to` are drawn
  const waiting = new Map(); // id → entry
  const more = h("button", { type: "button", class: "quiet" }, "Show earlier messages");
  const earlier = h("li", { class: "entry earlier", hidden: true }, more);
  let [from, to] = [0, 0];
  let stuck = true; // to the end
  let down = false; // go there
  let unread = 0;
  list.append(earlier);

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < NEAR;
  const toEnd = () => { log.scrollTop = log.scrollHeight; };
  const messageBefore = (i) => entries.findLast((entry, at) => at < i && !entry.line) ?? null;

  /** Changes what is above without moving what somebody reads. */
  function keepPlace(change) {
    const below = log.scrollHeight - log.scrollTop;
    change();
    log.scrollTop = log.scrollHeight - below;
  }

  function elements(a, b) {
    let before = messageBefore(a);
    return entries.slice(a, b).map((entry, i) => {
      const el = draw(entry, before, i + a > 0 && !entries[i + a - 1].line, retry);
      if (!entry.line) before = entry;
      return el;
    });
  }

  function undraw(a, b) {
    for (let i = a; i < b; i++) { entries[i].el?.remove(); entries[i].el = null; }
  }

  /** Draws on to before end, and what waits below it. What stands where it should is not touched. */
  function extend(end) {
    let next = (to > from ? entries[to - 1].el : earlier).nextSibling;
    const put = (el) => { if (el === next) next = next.nextSibling; else list.insertBefore(el, next); };
    elements(to, end).forEach(put);
    undraw(end, entries.length);
    to = end;
    let before = messageBefore(entries.length);
    let adjacent = !entries.at(-1)?.line;
    for (const entry of waiting.values()) {
      entry.away = !chat.here;
      put(draw(entry, before, adjacent, retry));
      [before, adjacent] = [entry, true];
    }
  }

  const render = eachFrame(() => {
    if (stuck) {
      const first = Math.max(from, entries.length - DRAWN); // of a flood, what nobody can see is never drawn
      undraw(from, first);
      [from, to] = [first, Math.max(first, to)];
      extend(entries.length);
      unread = 0;
    } else {
      extend(Math.max(to, Math.min(entries.length, from + MOST)));
    }
    const old = Math.min(from, entries.length - KEEP);
    if (old > 0) {
      entries.splice(0, old);
      [from, to] = [from - old, to - old];
    }
    earlier.hidden = from === 0;
    byId("log-empty").hidden = entries.length + waiting.size > 0;
    if (down) toEnd();
    down = false;
    say(jump, `${count(unread, "new message")} ↓`);
    jump.hidden = unread === 0;
  });

  function line(text, kind) {
    const last = entries.at(-1);
    if (kind && last?.kind === kind) { // the newer account of the same
      last.line = text;
      if (last.el) say(last.el.querySelector("span"), text);
    } else entries.push({ line: text, kind });
    render();
  }

  function wait(entry) {
    const known = waiting.get(entry.id);
    if (known) return Object.assign(known, { state: entry.state, error: entry.error });
    const { id, text, state, error } = entry;
    stuck = down = true;
    waiting.set(id, { id, text, state, error, name: chat.name ?? (chat.me.name || "You"), slot: chat.slot, at: Date.now() });
  }

  function reset() {
    undraw(0, entries.length);
    for (const entry of waiting.values()) entry.el?.remove();
    entries.length = from = to = unread = 0;
    waiting.clear();
    chat.waiting().forEach(wait);
    stuck = down = true;
    render();
  }

  function retry(id) {
    byId("text").focus(); // the button goes away
    chat.retry(id);
  }

  chat.addEventListener("said", ({ detail }) => {
    for (const message of detail) {
      const ours = waiting.get(message.id);
      waiting.delete(message.id);
      entries.push(ours ? Object.assign(ours, message, { state: null }) : message);
      if (!stuck && !message.past) unread++;
    }
    render();
  });
  chat.addEventListener("outbox", ({ detail: entry }) => {
    if (entry.room !== chat.me.room) return;
    if (entry.state === "gone") {
      waiting.get(entry.id)?.el?.remove();
      waiting.delete(entry.id);
    } else wait(entry);
    render();
  });
  chat.addEventListener("room", reset);
  chat.addEventListener("welcome", ({ detail: { back, missed, gap, quiet } }) => {
    if (!back) reset();
    if (gap) line(back ? "You’re back. You were away for long: some messages are not shown" : "Earlier messages are not shown");
    else if (missed && !quiet) line(`You’re back: ${count(missed, "message")} while away`);
    render();
  });
  session.root.on("disconnect", render);
  fate.addEventListener("told", ({ detail: { text, yours, over } }) => {
    if (yours && (!over || (text && entries.at(-1)?.kind === "fate"))) line(text, "fate"); // what others said since stands after it: it is history
  });

  jump.addEventListener("click", () => { stuck = down = true; render(); log.focus(); });
  more.addEventListener("click", () => {
    stuck = false;
    const first = Math.max(0, from - STEP);
    keepPlace(() => {
      earlier.after(...elements(first, from));
      from = first;
      earlier.hidden = from === 0;
    });
    if (from === 0) log.focus();
  });
  log.addEventListener("scroll", () => {
    const down = atEnd();
    if (stuck || !down) {
      stuck = down;
      return;
    }
    extend(Math.min(entries.length, to + STEP));
    const much = to - from - MOST;
    if (much > 0) keepPlace(() => { undraw(from, from + much); from += much; });
    stuck = to === entries.length;
    render();
  }, { passive: true });
  // Told of growth when the frame is laid out, which following it from render() would make happen once more.
  const grown = new ResizeObserver(() => {
    measure(list);
    if (stuck) toEnd();
  });
  grown.observe(log);
  grown.observe(list);
  reset();
}
