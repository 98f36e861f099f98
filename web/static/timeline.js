// The list of requests below the doors: one row per request, its mark in the lane of the worker that answered.
// Each attempt keeps its element, and is drawn anew only when the workers told something new about it.
import { byId, h, say } from "./dom.js";
import { key } from "./facts.js";
import { hue, ownerOf } from "./slots.js";
import { duration, judge, why } from "./words.js";

const RUN = 4; // as many polls and posts in a row, all well, are told as one line
const HANDSHAKE = 8; // but never the first ones

const GHOSTS = [
  ["open", "GET", "asks any worker for a session, and gets its key"],
  ["post", "POST", "joins the namespaces, showing the key"],
  ["poll", "GET", "fetches the answers, showing the key"],
  ["upgrade", "GET", "becomes a WebSocket, showing the key"],
];

export function showTimeline(session, trace, street) {
  const box = byId("timeline");
  const drawn = new Map(); // sid → {el, told}

  function render() {
    const attempts = visible(trace.attempts, session.state);
    trace.shown = attempts[0];
    street.shows(attempts);
    const keep = attempts.map((attempt, i) => {
      const told = JSON.stringify([attempt.requests, attempt.over, i > 0, street.slots]);
      const before = drawn.get(attempt.sid);
      if (before?.told === told) return before.el;
      const el = draw(attempt, i > 0, street.slots, before?.el);
      drawn.set(attempt.sid, { el, told });
      return el;
    });
    for (const sid of drawn.keys()) if (!trace.of(sid)) drawn.delete(sid);
    if (!attempts.length) keep.push(ghosts(street.slots));
    if (keep.length !== box.children.length || keep.some((el, i) => el !== box.children[i])) box.replaceChildren(...keep);
    say(byId("requests-note"), attempts.length ? "as the workers recorded them" : "what a handshake consists of");
  }
  session.addEventListener("change", render);
  trace.addEventListener("change", render);
  street.addEventListener("change", render);
  render();
}

/** Newest first. An attempt that has nothing to tell yet does not push away the one that has. */
function visible(attempts, state) {
  const last = attempts.at(-1);
  const early = attempts.length > 1 && state.phase !== "joined" && last.requests.length < (last.over ? 1 : 2);
  return (early ? attempts.slice(0, -1) : [...attempts]).reverse();
}

function draw(attempt, older, slots, before) {
  const { sid, requests, over, n } = attempt;
  const opened = new Set([...(before?.querySelectorAll("details[open]") ?? [])].map((el) => el.dataset.run));
  const rows = h("ol", { class: "reqs" }, ...runs(requests, sid).map((run, i) =>
    run.length === 1 ? row(run[0], sid, slots) : folded(run, sid, slots, `run${i}`, opened)));
  if (!requests.length) rows.append(h("li", { class: "dim waiting" }, "The workers have not told yet."));

  const count = requests.filter((request) => request.step !== "close").length; // an event, not a request
  const wrong = requests.filter((request) => judge(request, sid).stranger).length;
  const name = h("span", { class: "key small" });
  key(name, sid);
  const fate = wrong ? `${wrong} of ${count} at the wrong door` : over ? "ended" : `${count} requests`;
  const head = [h("span", { class: "attempt-n" }, n > 1 || older ? `Attempt ${n}` : "Session"), name, h("span", { class: wrong ? "fate bad" : "fate" }, fate)];
  if (!older) return h("div", { class: "attempt" }, h("p", { class: "attempt-head" }, ...head), rows);
  return h("details", { class: "attempt older", "data-run": "older", open: opened.has("older") }, h("summary", { class: "attempt-head" }, ...head), rows);
}

/** Splits requests into rows: most alone, long runs of uneventful polling together. */
function runs(requests, sid) {
  const out = [];
  let run = [];
  const flush = () => { out.push(...(run.length >= RUN ? [run] : run.map((one) => [one]))); run = []; };
  requests.forEach((request, i) => {
    const { ok, forwarded } = judge(request, sid);
    const dull = i >= HANDSHAKE && ok && !forwarded && (request.step === "poll" || request.step === "post");
    if (dull && run.length && run[0].slot !== request.slot) flush();
    if (dull) run.push(request);
    else { flush(); out.push([request]); }
  });
  flush();
  return out;
}

function folded(run, sid, slots, name, opened) {
  const sum = (step) => run.filter((request) => request.step === step).length;
  const label = ["poll", "post"].filter(sum).map((step) => (sum(step) > 1 ? `${step} ×${sum(step)}` : step)).join(", ");
  return h("li", {}, h("details", { class: "run", "data-run": name, open: opened.has(name) },
    h("summary", { class: "row" }, h("span", { class: "req-what" }, h("b", {}, label)), lanes({ slot: run[0].slot, via: null, ok: true, owner: ownerOf(sid) }, slots), h("span")),
    h("ol", { class: "reqs" }, ...run.map((request) => row(request, sid, slots)))));
}

function row(request, sid, slots) {
  const { ok, owner, forwarded, stranger } = judge(request, sid);
  const sentence = why(request, sid);
  const told = `answered by worker ${request.slot}${forwarded ? `, forwarded by worker ${request.via}` : ""}`;
  return h("li", {
    class: `req${ok ? "" : " bad"}${forwarded ? " hop" : ""}`,
    "data-step": request.step, "data-status": request.status ?? "", "data-worker": request.slot ?? "", "data-ok": String(ok),
    "data-owner": owner ?? "", "data-via": request.via ?? "", "data-sid": sid,
  },
    h("div", { class: "row" },
      h("span", { class: "req-what" },
        h("b", {}, request.step), " ",
        request.step === "close"
          ? h("span", { class: "req-http" }, "of the WebSocket")
          : h("span", { class: "req-http" }, `${request.method ?? ""} `, h("span", { class: "req-status" }, String(request.status || "–")))),
      lanes({ slot: request.slot, via: request.via, ok, owner, stranger }, slots),
      h("span", { class: "req-ms" }, duration(request.ms ?? 0)),
      h("span", { class: "vh" }, `, ${told}`)),
    sentence ? h("p", { class: "req-why" }, sentence) : null);
}

/** The lanes of one row: a mark where it was answered, and the way from the wrong door, or through a forwarder. */
function lanes({ slot, via, ok, owner, stranger }, slots) {
  const at = slots.indexOf(slot);
  const from = via !== null && via !== undefined ? slots.indexOf(via) : stranger ? slots.indexOf(owner) : -1;
  const cells = slots.map((one) => {
    const lane = h("span", { class: one === owner ? "lane owner" : "lane", "data-hue": hue(one) });
    if (one === slot) lane.append(h("span", { class: ok ? "mark" : "mark wrong" }, String(one)));
    else if (slots.indexOf(one) === from) lane.append(h("span", { class: stranger ? "mark missed" : "mark via" }, String(one)));
    return lane;
  });
  const el = h("span", { class: "lanes", "aria-hidden": "true" }, ...cells);
  if (from >= 0 && at >= 0 && from !== at) {
    const way = h("span", { class: `way${stranger ? " astray" : ""}${from > at ? " left" : ""}` });
    way.style.left = `${((Math.min(from, at) + 0.5) / slots.length) * 100}%`;
    way.style.width = `${(Math.abs(from - at) / slots.length) * 100}%`;
    el.append(way);
  }
  return el;
}

function ghosts(slots) {
  return h("div", {}, h("ol", { class: "reqs ghosts" }, ...GHOSTS.map(([step, method, what]) =>
    h("li", { class: "req ghost" }, h("div", { class: "row" },
      h("span", { class: "req-what" }, h("b", {}, step), " ", h("span", { class: "req-http" }, method)),
      h("span", { class: "lanes" }, ...slots.map((one) => h("span", { class: "lane", "data-hue": hue(one) })), h("span", { class: "ghost-what" }, what)),
      h("span"))))),
  h("p", { class: "ghosts-note" }, "Each of them may travel on a connection of its own. The strategy decides which door a connection is led to."));
}
