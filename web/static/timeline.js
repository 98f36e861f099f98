// The section with the timeline: what is shown, its tools, the opened mark, and following what is newest.
import { byId, h, say, tied } from "./dom.js";
import { lanes } from "./lanes.js";
import { opened } from "./opened.js";
import { story } from "./story.js";
import { copied, table } from "./table.js";
import { duration, why } from "./words.js";

const CALM = 200; // ms between two drawings…
const FRAMES = 1000; // …and where only frames are counted
const NEAR = 48; // px from the end: the reader follows

export function showTimeline(session, trace, street, recorder) {
  const fold = byId("requests");
  const [box, caption, detail, note] = ["timeline", "caption", "opened", "requests-note"].map(byId);
  const view = lanes({ label: "Requests, oldest first", open: (item) => open(item), tell: (item) => tell(item), narrow: () => phone.matches });
  const phone = matchMedia("(max-width: 40rem)");
  const hidden = new Set(); // ids of what was cleared
  let now = { sessions: [], items: [] };
  let openId = null;
  let paused = false;
  let heartbeats = true;
  let follows = true;
  let timer = 0;
  let dueAt = 0;

  box.replaceChildren(view.el); // it stands where the empty lanes kept its place
  function attempts() {
    return trace.attempts.map((attempt) => ({ ...attempt, seen: recorder.of(attempt.sid) }));
  }
  function draw() {
    clearTimeout(timer);
    timer = dueAt = 0;
    if (!fold.open || paused) return;
    const all = attempts();
    now = story(all, { heartbeats, hide: (item) => hidden.has(item.id) });
    now.sessions = now.sessions.filter(({ sid }) => now.items.some((item) => item.sid === sid));
    street.shows(now);
    box.classList.toggle("empty", now.items.length === 0);
    const moved = view.show(now, street.slots);
    table(byId("table"), now);
    if (openId) {
      const item = now.items.find(({ id }) => id === openId);
      if (item) opened(detail, item, close, heartbeats);
      else close(false);
    }
    if (moved) tell(null);
    if (moved && follows) view.el.scrollLeft = view.el.scrollWidth;
    const count = now.items.filter(({ kind }) => kind === "request").length;
    const { slots, others } = street;
    say(note, (count ? `${count} shown, as the workers and this browser saw them` : "as the workers and this browser will see them")
      + (others ? `; ${slots.length} of ${slots.length + others} workers have a lane${count ? ", the others saw none of these" : ""}` : ""));
  }
  function within(ms) {
    if (!fold.open || paused || (dueAt && dueAt <= performance.now() + ms)) return;
    clearTimeout(timer);
    dueAt = performance.now() + ms;
    timer = setTimeout(draw, ms);
  }
  const soon = () => within(CALM);

  /** The sentence below the lanes: of the mark that is pointed at, else of the latest in this session that went wrong or a way round. */
  function tell(item) {
    const these = now.items.filter((one) => one.kind === "request" && one.sid === trace.shown?.sid);
    const of = item ?? these.findLast((one) => !one.ok) ?? these.findLast((one) => one.forwarded);
    if (of && of.id === openId) { // it says so itself, just below
      caption.classList.remove("bad");
      return say(caption, KEYS);
    }
    caption.classList.toggle("bad", Boolean(of && !of.ok));
    caption.replaceChildren(...(of ? [h("b", {}, `${NAMES[of.kind] ?? of.step}:`), " ", tied(said(of))] : [now.items.length ? HINT : SOON]));
  }

  function open(item) {
    if (!item || item.id === openId) return close();
    openId = item.id;
    view.opened(openId);
    opened(detail, item, close, heartbeats);
    tell(item);
  }
  function close(back = true) {
    const id = openId;
    openId = null;
    view.opened(null);
    detail.hidden = true;
    detail.replaceChildren();
    if (back && id) view.focus(id);
    tell(null);
  }
  for (const el of [box, detail]) {
    el.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !openId) return;
      event.preventDefault();
      close();
    });
  }

  view.el.addEventListener("scroll", () => {
    follows = view.el.scrollLeft + view.el.clientWidth >= view.el.scrollWidth - NEAR;
    byId("newest").hidden = follows;
  }, { passive: true });
  byId("newest").addEventListener("click", () => { follows = true; view.el.scrollLeft = view.el.scrollWidth; });

  const toggle = (id, f) => byId(id).addEventListener("click", ({ currentTarget: button }) => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    f(on);
  });
  toggle("pause", (on) => { paused = on; draw(); if (on) say(note, "paused: what happens now is shown when you go on"); });
  toggle("heartbeats", (on) => { heartbeats = on; draw(); });
  toggle("as-table", (on) => { byId("table").hidden = !on; table(byId("table"), now); });
  byId("clear").addEventListener("click", () => {
    const gone = story(attempts()).items.filter(({ kind }) => kind !== "frames"); // they are counted anew
    for (const item of gone) for (const one of item.list ?? [item]) hidden.add(one.id);
    for (const attempt of trace.attempts) { recorder.clear(attempt.sid); attempt.dropped = 0; }
    close(false);
    draw();
  });
  byId("copy").addEventListener("click", () => copied(byId("copy"), now));

  session.addEventListener("start", () => hidden.clear());
  for (const what of [session, trace, street, recorder]) what.addEventListener("change", soon);
  recorder.addEventListener("frame", () => within(FRAMES));
  fold.addEventListener("toggle", soon);
  phone.addEventListener("change", soon);
  draw();
}

const SOON = "Six steps, and all of them belong into one lane: whichever it is.";
const HINT = "Each mark opens, and shows what was sent and received.";
const KEYS = "The arrow keys go from mark to mark, Enter opens one, Escape closes it.";
const NAMES = { frames: "WebSocket", more: "more", close: "close" };
const STEPS = {
  open: "asked for a session, and got its key.", post: "sent what the client had to say.",
  poll: "fetched what the worker had for the client.", upgrade: "became a WebSocket.",
};

function said(item) {
  if (item.kind === "frames") return "All packets since the upgrade: they stay with one worker, as one connection does.";
  if (item.kind === "more") return `Requests that are too many to draw${item.ok ? ", and all went well" : ""}.`;
  if (item.kind === "close") return "The worker saw the WebSocket end.";
  return why(item, item.sid) || `${STEPS[item.step]} Worker ${item.slot} answered ${item.status} after ${duration(item.ms)}${item.slot === item.owner ? ", and it holds the session" : ""}.`;
}
