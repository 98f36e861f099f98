// The workers as doors, from /cluster. Yours stands open while your session lives behind it.
import { byId, h, say, svg, whileVisible } from "./dom.js";
import { ownerOf, paint } from "./slots.js";
import { judge } from "./words.js";

const EVERY = 3000;
const SOON = 300;

export function showDoors(session, trace, street, { workers, workerPort }) {
  const list = byId("doors");
  const known = new Map(Array.from({ length: workers }, (_, slot) => [slot, { slot, port: workerPort + slot }]));
  const doors = new Map();

  function render() {
    const mine = session.state.transport === "disconnected" ? null : (ownerOf(session.state.sid) ?? session.state.worker);
    const shown = trace.shown ?? trace.attempts.at(-1);
    const wrong = new Set((shown?.requests ?? []).filter((r) => judge(r, shown.sid).stranger).map((r) => r.slot));
    const lives = shown ? ownerOf(shown.sid) : null;
    const now = street.slots.map((slot) => {
      if (!doors.has(slot)) doors.set(slot, door(slot));
      const one = doors.get(slot);
      one.show(known.get(slot) ?? { slot }, { mine: slot === mine, wrong: wrong.has(slot), lives: slot === lives });
      return one.el;
    });
    if (now.length !== list.children.length || now.some((el, i) => el !== list.children[i])) list.replaceChildren(...now);
  }

  async function ask() {
    if (document.hidden) return;
    try {
      const response = await fetch("/cluster", { cache: "no-store" });
      if (!response.ok) throw new Error(`/cluster answered ${response.status}`);
      const cluster = await response.json();
      for (const worker of cluster.workers ?? []) known.set(worker.slot, worker);
      street.has((cluster.workers ?? []).map((worker) => worker.slot));
      warn(cluster.warnings ?? []);
      note(street, cluster);
    } catch {
      for (const [slot, worker] of known) known.set(slot, { ...worker, state: "unknown" });
    }
    render();
  }

  let soon = 0; // the workers' counts change with what they tell of a session
  session.addEventListener("change", render);
  trace.addEventListener("change", () => {
    render();
    soon ||= setTimeout(() => { soon = 0; ask(); }, SOON);
  });
  street.addEventListener("change", render);
  render();
  ask();
  whileVisible(EVERY, ask);
}

function warn(warnings) {
  const list = byId("warnings");
  if (list.dataset.told === warnings.join("\n")) return;
  list.dataset.told = warnings.join("\n");
  list.hidden = warnings.length === 0;
  list.replaceChildren(...warnings.map((text) => h("li", {}, String(text))));
}

function note(street, { workers = [], engine }) {
  const forwarded = workers.reduce((sum, worker) => sum + (worker.forwarded || 0), 0);
  const refused = workers.reduce((sum, worker) => sum + (worker.refused || 0), 0);
  const more = street.hidden > 0 ? `${street.hidden} more not drawn. ` : "";
  say(byId("street-note"), `${more}So far ${forwarded} forwarded, ${refused} refused.`);
  if (engine) say(byId("foot-note"), `Engine: ${engine}.`);
}

function door(slot) {
  const cell = (name) => h("span", { class: `door-${name}` }, "–");
  const facts = { port: cell("port"), pid: cell("pid"), state: cell("state"), sessions: cell("sessions") };
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
    for (const [name, span] of Object.entries(facts)) say(span, String(worker[name] ?? "–"));
    const restarts = worker.restarts ? `, ${worker.restarts} restarts` : "";
    el.title = `Worker ${slot}: ${worker.sockets ?? 0} sockets, ${worker.forwarded ?? 0} forwarded, ${worker.refused ?? 0} refused${restarts}`;
    say(words, `Worker ${slot}${mine ? ", holds your session" : wrong ? ", the wrong door" : ""}: port ${worker.port ?? "unknown"}, ${state}, ${worker.sessions ?? "unknown"} sessions${restarts}`);
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
