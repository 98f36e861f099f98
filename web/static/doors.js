// The workers as doors. Yours stands open while your session lives behind it.
import { arrange, byId, count, h, say, svg } from "./dom.js";
import { ownerOf, paint } from "./slots.js";
import { judge } from "./words.js";

const MANY = 8; // more stand in several rows

export function showDoors(session, trace, street, cluster) {
  const list = byId("doors");
  const doors = new Map();

  function render() {
    const mine = session.state.transport === "disconnected" ? null : (ownerOf(session.state.sid) ?? session.state.worker);
    const shown = trace.shown ?? trace.attempts.at(-1);
    const wrong = new Set((shown?.requests ?? []).filter((r) => judge(r, shown.sid).stranger).map((r) => r.slot));
    const lives = shown ? ownerOf(shown.sid) : null;
    const slots = [...new Set(cluster.workers.map((worker) => worker.slot))].sort((a, b) => a - b);
    byId("street").classList.toggle("many", slots.length > MANY);
    for (const slot of doors.keys()) if (!slots.includes(slot)) doors.delete(slot);
    arrange(list, slots.map((slot) => {
      if (!doors.has(slot)) doors.set(slot, door(slot));
      const one = doors.get(slot);
      one.show(cluster.of(slot) ?? {}, { mine: slot === mine, wrong: wrong.has(slot), lives: slot === lives });
      return one.el;
    }));
  }

  cluster.addEventListener("change", () => {
    street.has([...new Set(cluster.workers.map((worker) => worker.slot))]);
    warn(cluster.warnings);
    note(cluster);
    render();
  });
  session.addEventListener("change", render);
  trace.addEventListener("change", () => { render(); cluster.soon(); });
  render();
  cluster.ask();
}

function warn(warnings) {
  const list = byId("warnings");
  if (list.dataset.told === warnings.join("\n")) return;
  list.dataset.told = warnings.join("\n");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((text) => h("li", {}, String(text))));
}

function note({ workers, engine }) {
  const sum = (what) => workers.reduce((all, worker) => all + (worker[what] || 0), 0);
  say(byId("street-note"), `Workers running now, all clients: ${sum("forwarded")} forwarded, ${sum("refused")} refused.`);
  if (engine) say(byId("foot-note"), `Engine: ${engine}.`);
}

function door(slot) {
  const cell = (name) => h("span", { class: `door-${name}` }, "–");
  const facts = { port: cell("port"), state: cell("state") };
  const words = h("span", { class: "vh" });
  const yours = h("span", { class: "door-yours", "aria-hidden": "true" });
  const el = h("li", { class: "door" },
    words, drawing(slot), yours,
    h("span", { class: "door-facts", "aria-hidden": "true" }, ...Object.values(facts)));
  paint(el, slot);

  function show(worker, { mine, wrong, lives }) {
    const state = worker.state ?? "–";
    el.dataset.state = state;
    el.classList.toggle("mine", mine);
    el.classList.toggle("wrong", wrong);
    el.classList.toggle("lives", lives && !mine);
    say(yours, mine ? "yours" : wrong ? "wrong" : lives ? "owner" : "");
    for (const [name, span] of Object.entries(facts)) say(span, String(worker[name] ?? "–").replace("unknown", "?"));
    const holds = Number.isInteger(worker.sessions) ? `, ${count(worker.sessions, "session")}` : "";
    say(words, `Worker ${slot}${mine ? ", holds your session" : wrong ? ", the wrong door" : ""}: port ${worker.port ?? "unknown"}, ${state}${holds}`);
  }
  return { el, show };
}

// An arched door in its frame, the room behind it lit. CSS turns the leaf on its hinge.
function drawing(slot) {
  return svg("svg", { class: "door-drawing", viewBox: "0 0 64 88", "aria-hidden": "true" },
    svg("path", { class: "frame", d: "M6 87V34a26 26 0 0 1 52 0v53z" }),
    svg("path", { class: "room", d: "M11 87V34a21 21 0 0 1 42 0v53z" }),
    svg("path", { class: "floor", d: "M11 87l9-14h24l9 14z" }),
    svg("g", { class: "leaf" },
      svg("path", { class: "panel", d: "M11 87V34a21 21 0 0 1 42 0v53z" }),
      svg("path", { class: "moulding", d: "M17 81V62h30v19z" }),
      svg("circle", { class: "knob", cx: "47", cy: "57", r: "2.2" }),
      (() => { const t = svg("text", { class: "number", x: "32", y: "48" }); t.textContent = String(slot); return t; })()),
    svg("path", { class: "step", d: "M2 87h60" }));
}
