// Joins what the workers recorded with what the browser saw, and makes of it what the timeline draws. Pure.
//
//   story([{sid, n, nth, requests, over, seen}]) → {sessions, items}, both oldest first
//
// requests are /trace's entries; seen is the Recorder's account, or missing (compare has none). A session is {sid, n, nth,
// owner, over, wrong, count, fallback, upgradedAt, lostAt, reason}. An item has {id, kind, sid, at, ms, slot}; its kind:
//   request   as in /trace, with `seen` {sent, received} if the browser saw it, and heartbeat
//   more      stands for `list`, requests that are too many to draw; ok: they all went well
//   frames    what the WebSocket carried since: {sent, received, heartbeats, list}
//   close     the worker saw the WebSocket end
import { payload, answer } from "./packets.js";
import { ownerOf } from "./slots.js";
import { judge } from "./words.js";

const SLACK = 60; // ms by which the two accounts of one request may differ
const FIRST = 10; // requests of a session that are always drawn…
const LAST = 24; // …the latest…
const WRONG = 12; // …and as many that went wrong in between

export function story(attempts, { heartbeats = true, hide = () => false } = {}) {
  const sessions = [];
  const items = [];
  for (const attempt of attempts) {
    const { sid, seen } = attempt;
    const all = joined(attempt);
    const requests = all.filter((item) => item.kind === "request");
    const wrong = requests.filter((item) => item.stranger).length;
    const shown = all.filter((item) => !hide(item) && (heartbeats || !item.heartbeat));
    const fallback = requests.find((item) => item.step === "upgrade" && !item.ok) ?? (seen?.failedAt ? { at: seen.failedAt } : null);
    sessions.push({
      sid, n: attempt.n, nth: attempt.nth, owner: ownerOf(sid), over: attempt.over, wrong, count: requests.length + (attempt.dropped ?? 0),
      fallback: seen?.upgradedAt ? null : fallback?.at ?? null,
      upgradedAt: seen?.upgradedAt || requests.find((item) => item.step === "upgrade" && item.ok)?.at || 0,
      lostAt: seen?.lostAt ?? 0, reason: seen?.reason ?? "",
    });
    items.push(...summed(shown, attempt.dropped ?? 0), ...frames(attempt, requests, hide));
  }
  items.sort((a, b) => a.at - b.at);
  return { sessions, items };
}

/** The requests of one attempt, each joined with the browser's account of it. */
export function joined({ sid, requests, seen, over }) {
  const open = [...(seen?.requests ?? [])];
  const offset = skew(requests, open);
  const names = new Map();
  const id = (step, at, slot) => {
    const name = `${sid} ${step} ${at} ${slot}`;
    const n = names.get(name) ?? 0;
    names.set(name, n + 1);
    return n ? `${name} ${n}` : name;
  };
  const items = requests.map((request) => {
    const at = request.at - offset;
    const i = open.findIndex((one) => one.step === request.step && one.status === request.status
      && at >= one.at - SLACK && at + request.ms <= one.at + one.ms + SLACK);
    const mine = i < 0 ? null : open.splice(i, 1)[0];
    return item({ ...request, at, id: id(request.step, request.at, request.slot), sid, seen: mine ?? (request.step === "upgrade" ? probe(seen) : null) });
  });
  // A worker that died took its account along; the browser's own is left, with the worker its sid names.
  const dead = (one) => over && (one.worker ?? (one.status === 200 ? ownerOf(sid) : null)) !== null;
  for (const one of open.filter(dead)) {
    const slot = one.worker ?? ownerOf(sid);
    items.push(item({
      step: one.step, method: one.method, transport: "polling", status: one.status, slot, owner: ownerOf(sid), via: null, at: one.at, ms: one.ms,
      error: one.status >= 400 ? said(one.received) : null, id: id(one.step, `b${one.at}`, slot), sid, seen: one,
    }));
  }
  return items.sort((a, b) => a.at - b.at);
}

function item(request) {
  return { ...request, kind: request.step === "close" ? "close" : "request", ...judge(request, request.sid), heartbeat: heartbeat(request) };
}

const read = new WeakMap(); // bodies do not change

function heartbeat({ seen, step, status, method }) {
  if (seen?.received === undefined || step === "open") return false;
  if (!read.has(seen)) {
    const told = [...payload(seen.sent, "sent"), ...answer(seen.received, status, method)].filter(({ name }) => name !== "taken");
    read.set(seen, told.length > 0 && told.every((packet) => packet.heartbeat));
  }
  return read.get(seen);
}

const probe = (seen) => (seen?.probe.length ? { probe: seen.probe } : null);
const said = (text) => { try { return JSON.parse(text).message; } catch { return "refused"; } };

// Worker clocks on other hosts may differ: the open request was within the browser's.
function skew(requests, seen) {
  const [there, here] = [requests, seen].map((list) => list.find((one) => one.step === "open"));
  if (!there || !here) return 0;
  const off = there.at - (here.at + (here.ms - there.ms) / 2);
  return Math.abs(off) <= here.ms + SLACK ? 0 : Math.round(off);
}

// Hours of polling are told by their beginning, their end, and what went wrong.
function summed(items, dropped) {
  const excess = items.length - FIRST - LAST;
  if (excess < 2) return items;
  const middle = items.slice(FIRST, -LAST);
  const odd = middle.filter((one) => !one.ok).slice(-WRONG);
  const list = middle.filter((one) => !odd.includes(one));
  const last = list.at(-1);
  const more = { kind: "more", id: `${last.sid} more`, sid: last.sid, at: last.at, ms: 0, slot: last.slot, owner: last.owner, list, count: list.length + dropped, ok: list.every((one) => one.ok) };
  return [...items.slice(0, FIRST), ...odd, more, ...items.slice(-LAST)].sort((a, b) => a.at - b.at);
}

function frames({ sid, seen, over }, requests, hide) {
  const first = seen?.frames.list[0];
  if (!first) return [];
  const upgrade = requests.findLast((one) => one.step === "upgrade" && one.ok);
  const slot = upgrade?.slot ?? ownerOf(sid);
  if (slot === null || (!upgrade && !over)) return []; // the workers are about to tell where it belongs
  const { sent, received, heartbeats, list } = seen.frames;
  // After the upgrade no request begins, whatever two clocks say.
  const at = Math.max(seen.upgradedAt || upgrade?.at || first.at, requests.at(-1)?.at ?? 0) + 1;
  const one = { kind: "frames", id: `${sid} frames`, sid, at, ms: 0, slot, owner: ownerOf(sid), ok: true, sent, received, heartbeats, list };
  return hide(one) ? [] : [one];
}
