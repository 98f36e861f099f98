// Draws lanes: one per worker, time to the right, a mark per request in the lane of the worker that answered.
// It knows no page, and needs timeline.css. How to use it:
//
//   const view = lanes({ label: "Requests of …", open: (item) => …, tell: (item or null) => … });
//   box.append(view.el);
//   view.show(story([{ sid, n: 1, requests }]), [0, 1, 2, 3]); // requests as /trace tells them; slots of the lanes
//
// narrow() tells whether marks do without durations; it may be left out, as may the rest of lanes' options.
// open is called when a mark is clicked or entered, tell when it is hovered or focused. Call show
// as often as something changes: marks keep their elements and the focus. For a picture of your own take story.js and
// axis.js's layout(), which this only puts on the screen. view.focus(id) moves the focus, view.opened(id) marks what is open.
import { hop, layout, NARROW, WIDTH } from "./axis.js";
import { h } from "./dom.js";
import { hue, ownerPart } from "./slots.js";
import { duration, time, why } from "./words.js";

const rem = (x) => `${x / 16}rem`;

export function lanes({ label = "Requests", open = () => {}, tell = () => {}, narrow = () => false } = {}) {
  const sides = h("div", { class: "tl-sides", "aria-hidden": "true" });
  const rails = h("div", { class: "tl-rails", "aria-hidden": "true" });
  const bands = h("div", { class: "tl-bands", "aria-hidden": "true" });
  const ink = h("div", { class: "tl-ink", "aria-hidden": "true" });
  const list = h("ol", { class: "tl-marks", "aria-label": label });
  const canvas = h("div", { class: "tl-canvas" }, sides, rails, bands, ink, list);
  const el = h("div", { class: "tl-scroll" }, canvas);
  el.addEventListener("scroll", () => el.classList.toggle("scrolled", el.scrollLeft > 2), { passive: true });
  const marks = new Map(); // id → {li, button, told}
  let items = [];
  let slots = [];
  let widths = WIDTH;
  let at = null; // id of the mark that Tab comes to
  let openId = null;
  let drawn = "";

  /** Returns whether marks have moved. */
  function show(now, lanesOf) {
    slots = lanesOf;
    widths = narrow() ? NARROW : WIDTH;
    items = now.items.filter((item) => slots.includes(item.slot));
    const shape = JSON.stringify([slots, widths.request, now.sessions, items.map(({ id, at: when, via }) => [id, when, via])]);
    if (shape === drawn) { // a count has changed, and nothing else
      items.forEach(redress);
      return false;
    }
    drawn = shape;
    const plan = layout({ sessions: now.sessions, items }, widths);
    canvas.style.setProperty("--lanes", slots.length);
    canvas.style.width = `calc(var(--side) + ${rem(plan.width)})`;
    const owner = now.sessions.at(-1)?.owner;
    sides.replaceChildren(...slots.map((slot) => side(slot, slot === owner)));
    rails.replaceChildren(...slots.map((slot) => h("div", { class: "tl-rail" })));
    el.classList.toggle("empty", items.length === 0);
    if (!items.length) {
      bands.replaceChildren();
      ink.replaceChildren(...ghosts(slots));
    } else {
      bands.replaceChildren(...plan.bands.map((one) => band(one)), ...plan.gaps.map(gap), ...plan.ticks.map(tick));
      ink.replaceChildren(...plan.bands.filter(({ session }) => slots.includes(session.owner)).map((one) => home(one, slots)), ...items.flatMap((item) => strokes(item, plan, slots, widths.request)));
    }
    keep(plan);
    return true;
  }

  function keep(plan) {
    const ids = new Set(items.map((item) => item.id));
    for (const [id, { li }] of marks) if (!ids.has(id)) { li.remove(); marks.delete(id); }
    if (!ids.has(at)) at = items.at(-1)?.id ?? null;
    items.forEach((item, i) => {
      let one = marks.get(item.id);
      if (!one) marks.set(item.id, (one = mark(item.id)));
      one.li.style.left = `calc(var(--side) + ${rem(plan.places.get(item.id))})`;
      one.li.style.width = rem(widths[item.kind]);
      one.li.style.setProperty("--lane", slots.indexOf(item.slot));
      redress(item);
      one.button.tabIndex = item.id === at ? 0 : -1;
      if (list.children[i] !== one.li) list.insertBefore(one.li, list.children[i] ?? null);
    });
  }

  function redress(item) {
    const one = marks.get(item.id);
    const told = JSON.stringify([widths.request, item.kind, item.status, item.ms, item.slot, item.via, item.error, item.sent, item.received, item.count]);
    if (one.told === told) return;
    one.told = told;
    dress(one.button, item, widths === NARROW);
  }

  function mark(id) {
    const button = h("button", { type: "button", class: "tl-mark", "aria-expanded": id === openId ? "true" : "false" });
    const find = () => items.find((item) => item.id === id);
    button.addEventListener("click", () => { enter(id); open(find()); });
    button.addEventListener("focus", () => { enter(id); tell(find()); });
    button.addEventListener("pointerenter", () => tell(find()));
    button.addEventListener("blur", () => tell(null));
    button.addEventListener("pointerleave", () => tell(null));
    return { li: h("li", {}, button), button };
  }

  function enter(id) {
    if (marks.has(at)) marks.get(at).button.tabIndex = -1;
    at = id;
    marks.get(id).button.tabIndex = 0;
  }

  // Left and right go through time, up and down to the nearest mark of the next lane that has one.
  list.addEventListener("keydown", (event) => {
    const i = items.findIndex((item) => item.id === at);
    const to = { ArrowLeft: i - 1, ArrowRight: i + 1, Home: 0, End: items.length - 1 }[event.key]
      ?? (event.key === "ArrowUp" ? beside(i, -1) : event.key === "ArrowDown" ? beside(i, 1) : null);
    if (to === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (items[to]) focus(items[to].id);
  });
  function beside(i, step) {
    const from = slots.indexOf(items[i].slot);
    for (let lane = from + step; lane >= 0 && lane < slots.length; lane += step) {
      const there = items.map((item, k) => [k, item]).filter(([, item]) => item.slot === slots[lane]).map(([k]) => k);
      if (there.length) return there.reduce((a, b) => (Math.abs(b - i) < Math.abs(a - i) ? b : a));
    }
    return i;
  }

  function focus(id) {
    const one = marks.get(id);
    if (!one) return;
    one.button.focus({ preventScroll: true });
    const left = one.li.offsetLeft - sides.offsetWidth;
    const right = one.li.offsetLeft + one.li.offsetWidth;
    if (left < el.scrollLeft) el.scrollLeft = left - 8;
    else if (right > el.scrollLeft + el.clientWidth) el.scrollLeft = right - el.clientWidth + 8;
  }

  function opened(id) {
    openId = id;
    for (const [name, { button }] of marks) button.setAttribute("aria-expanded", String(name === id));
  }
  return { el, show, focus, opened, items: () => items };
}

/** What is said of a mark that its own text does not say. */
function rest(item) {
  if (item.kind === "more") return ` requests, worker ${item.slot}`;
  if (item.kind === "close") return ` of the WebSocket, worker ${item.slot}`;
  const sentence = item.kind === "request" ? why(item, item.sid) : "";
  return `, worker ${item.slot}${sentence ? `. ${sentence}` : ""}`;
}

function dress(button, item, narrow) {
  const { kind, step, status, ok, slot, owner, via, sid, ms } = item;
  button.className = `tl-mark tl-${kind}${kind === "request" ? ` tl-${step}` : ""}${ok ? "" : " wrong"}${item.forwarded ? " hopped" : ""}`;
  button.dataset.hue = hue(slot);
  const facts = kind === "request" ? { step, status: status ?? "", worker: slot, ok: String(ok), owner: owner ?? "", via: via ?? "", sid } : { kind };
  for (const [name, value] of Object.entries(facts)) button.setAttribute(`data-${name}`, value);
  const [title, note] = {
    request: () => [step, narrow ? status || "–" : `${status || "–"} · ${duration(ms ?? 0)}`],
    more: () => [`+${item.count}`, ok ? "all well" : "older"],
    frames: () => ["WebSocket", narrow ? `↑ ${item.sent}  ↓ ${item.received}` : `↑ ${item.sent} sent  ↓ ${item.received} received`],
    close: () => ["close", time(ms)],
  }[kind]();
  button.replaceChildren(h("b", {}, title), " ", h("span", {}, note), h("span", { class: "vh" }, rest(item)));
}

// Before there is anything to show: what a handshake consists of, and that it belongs into one lane.
const STEPS = ["open", "post", "poll", "upgrade", "probe", "upgrade packet"];

function ghosts(slots) {
  const lane = Math.floor((slots.length - 1) / 2);
  return STEPS.map((step, i) => {
    const one = h("span", { class: "tl-ghost" }, h("b", {}, String(i + 1)), ` ${step}`);
    one.style.setProperty("--i", i);
    one.style.setProperty("--lane", lane);
    return one;
  });
}

function side(slot, owner) {
  return h("span", { class: owner ? "tl-side owner" : "tl-side", "data-hue": hue(slot) },
    h("span", { class: "tag", "data-hue": hue(slot) }, String(slot)), h("span", { class: "tl-name" }, owner ? "owner" : "worker"));
}

function band({ session, x, at, width, upgraded, fallback }) {
  const { sid, owner, n, wrong, count, over, reason, lostAt } = session;
  const el = h("div", { class: `tl-band${wrong ? " wrong" : ""}${over ? " over" : ""}`, "data-hue": owner === null ? null : hue(owner) },
    h("span", { class: "tl-band-name" }, h("b", {}, n > 1 ? `attempt ${n}` : "session"), " ",
      h("span", { class: "tl-key" }, ownerPart(sid) ? h("b", {}, ownerPart(sid)) : null, sid.slice(ownerPart(sid).length, ownerPart(sid).length + 7), "…"), " ",
      wrong ? h("span", { class: "tl-fate" }, `${wrong} of ${count} astray`) : null));
  el.style.left = `calc(var(--side) + ${rem(x)})`;
  el.style.width = rem(width);
  const phase = (from, kind, text) => {
    const part = h("span", { class: `tl-phase ${kind}` }, text);
    part.style.left = rem(from);
    el.append(part);
  };
  if (upgraded !== null) phase(upgraded, "up", "WebSocket");
  else if (fallback !== null) phase(fallback, "fallback", over ? "no WebSocket" : "no WebSocket: stays with polling");
  if (over) el.append(h("span", { class: "tl-lost" }, `${reason === "forced close" ? "closed" : "lost"}${lostAt ? ` +${time(Math.max(0, lostAt - at))}` : ""}`));
  return el;
}

function gap({ x, width, ms, reconnect }) {
  const el = h("div", { class: reconnect ? "tl-gap again" : "tl-gap" }, h("span", {}, reconnect ? "starts over" : "", h("b", {}, time(ms)), reconnect ? "later" : ""));
  el.style.left = `calc(var(--side) + ${rem(x)})`;
  el.style.width = rem(width);
  return el;
}

function tick({ x, text }) {
  const el = h("span", { class: "tl-tick" }, text);
  el.style.left = `calc(var(--side) + ${rem(x)})`;
  return el;
}

// While a session lasts, its owner's lane is where its requests belong.
function home({ session: { owner }, x, width }, slots) {
  const el = h("span", { class: "tl-home", "data-hue": hue(owner) });
  el.style.left = `calc(var(--side) + ${rem(x - 8)})`;
  el.style.width = rem(width + 16);
  el.style.setProperty("--lane", slots.indexOf(owner));
  return el;
}

// The way from the wrong lane to the right one, the hop of a forward, and how long a held poll was held.
function strokes(item, plan, slots, width) {
  const x = plan.places.get(item.id);
  const out = [];
  const lane = slots.indexOf(item.slot);
  for (const slot of hop(item)) {
    const other = slots.indexOf(slot);
    if (other < 0) continue;
    const way = h("span", { class: `tl-way ${item.stranger ? "astray" : "forward"} ${other < lane ? "down" : "up"}` });
    way.style.left = `calc(var(--side) + ${rem(x + width / 2)})`;
    way.style.setProperty("--from", Math.min(other, lane));
    way.style.setProperty("--span", Math.abs(other - lane));
    const end = h("span", { class: `tl-end ${item.stranger ? "missed" : "via"}`, "data-hue": hue(slot) }, item.stranger ? "" : "via");
    end.style.left = `calc(var(--side) + ${rem(x + width / 2)})`;
    end.style.setProperty("--lane", other);
    out.push(way, end);
  }
  if (item.kind === "request" && item.ms >= 50 && item.ok) {
    const held = h("span", { class: "tl-held", "data-hue": hue(item.slot) });
    held.style.left = `calc(var(--side) + ${rem(x)})`;
    const own = plan.bands.find(({ session }) => session.sid === item.sid); // a worker may hold what a browser has given up
    held.style.width = rem(Math.max(width, Math.min(plan.xOf(item.at + item.ms), own.x + own.width) - x));
    held.style.setProperty("--lane", lane);
    out.push(held);
  }
  return out;
}
