// Where on the timeline things stand. A handshake takes milliseconds and a page lives for hours, so the axis is by
// event: everything gets room to be read, a little more where more time went by, and a gap of a second or more is
// drawn as a break that says how long it was. Pure; a unit is a pixel where 1 rem is 16.
import { time } from "./words.js";

const SPACE = 6;
const STEP = 34; // between two requests in different lanes
const BREAK = 1000; // ms
const ROOM = 76; // a break takes this much
const FLAG = 104; // the name of what a session became needs this much
const EDGE = 12;

export const WIDTH = { request: 84, frames: 150, more: 80, close: 64, band: 280 }; // band: a session's heading at least
export const NARROW = { request: 60, frames: 104, more: 60, close: 54, band: 256 }; // without durations, for a phone
const HOP = 26; // the mark of who forwarded, or of who should have been reached

/**
 * layout({sessions, items}, widths) → {width, places: Map(id → x), gaps: [{x, width, ms, reconnect}], ticks: [{x, text}],
 * bands: [{session, x, width, upgraded, fallback}], xOf(at)}
 */
export function layout({ sessions, items }, widths = WIDTH) {
  const places = new Map();
  const gaps = [];
  const bands = [];
  const free = new Map(); // slot → where its lane is free
  let x = EDGE;
  let last = null;
  let band = null;

  for (const item of items) {
    const width = widths[item.kind];
    const lanes = [item.slot, ...hop(item)];
    if (last) {
      const fresh = item.sid !== band.session.sid && !bands.some((one) => one.session.sid === item.sid);
      const passed = Math.max(0, item.at - (fresh ? Math.max(last.at, band.session.lostAt) : last.at));
      const end = Math.max(...free.values());
      if (fresh) {
        x = Math.max(end, band.x + widths.band);
        x = gap(x, passed, true);
      } else if (passed >= BREAK) x = gap(end, passed, false);
      else x = Math.max(x + STEP + stretch(passed), ...lanes.map((slot) => free.get(slot) ?? 0));
    }
    band = bands.find((one) => one.session.sid === item.sid);
    if (!band) bands.push((band = { session: sessions.find((one) => one.sid === item.sid), x, at: item.at, width: 0 }));
    places.set(item.id, x);
    free.set(item.slot, x + width + SPACE);
    for (const slot of hop(item)) free.set(slot, Math.max(free.get(slot) ?? 0, x + (width + HOP) / 2 + SPACE));
    band.width = Math.max(band.width, x + width - band.x);
    last = item;
  }
  function gap(from, ms, reconnect) {
    gaps.push({ x: from, width: ROOM, ms, reconnect });
    return from + ROOM + SPACE;
  }

  const xOf = scale(items, places, widths);
  for (const one of bands) {
    if (one === bands.at(-1)) one.width = Math.max(one.width, widths.band);
    const { upgradedAt, fallback } = one.session;
    const flag = (at) => (at ? Math.max(0, Math.min(one.width - FLAG, xOf(at) - one.x)) : null);
    one.upgraded = flag(upgradedAt);
    one.fallback = flag(fallback);
  }
  const width = Math.max(EDGE, ...free.values(), ...bands.map((one) => one.x + one.width)) + EDGE;
  return { width, places, gaps, bands, ticks: ticks(items, places, bands), xOf };
}

/** The slots beside its own that an item is drawn in. */
export const hop = ({ kind, other }) => (kind === "request" && Number.isInteger(other) ? [other] : []);

const stretch = (ms) => (ms <= 16 ? 0 : Math.min(36, 6 * Math.log2(ms / 16)));

function scale(items, places, widths) {
  return (at) => {
    const next = items.findIndex((item) => item.at > at);
    if (next === 0) return places.get(items[0].id);
    if (next < 0) { const item = items.at(-1); return item ? places.get(item.id) + widths[item.kind] : EDGE; }
    const [a, b] = [items[next - 1], items[next]];
    const [from, to] = [places.get(a.id), places.get(b.id)];
    return from + ((to - from) * (at - a.at)) / (b.at - a.at);
  };
}

function ticks(items, places, bands) {
  const out = [];
  for (const item of items) {
    const x = places.get(item.id);
    if (out.length && x < out.at(-1).x + 64) continue;
    const { at } = bands.find((one) => one.session.sid === item.sid);
    out.push({ x, text: item.at - at < 0.5 ? "0" : `+${time(item.at - at)}` });
  }
  return out;
}
