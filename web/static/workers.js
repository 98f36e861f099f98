// The workers in numbers, one row each, and the buttons by which a demo lets one end them.
import { arrange, byId, h, say } from "./dom.js";
import { tag } from "./slots.js";

const DEAD = ["waiting", "given up"]; // /cluster tells the pid that was

// Roles are spelled out: on a phone CSS lays the rows out anew, and browsers then forget that it is a table.
const COLUMNS = ["state", "sessions", "restarts", "forwarded", "refused"];

/** store keeps whether the table is folded. */
export function showWorkers(cluster, fate, store) {
  const fold = byId("workers");
  const body = byId("workers-rows");
  const rows = new Map(); // by id, as slots of several hosts may have one number
  const demo = Boolean(cluster.token);
  fold.classList.toggle("demo", demo);

  const kept = store.get("samedoor.workers");
  fold.open = kept ? kept === "open" : matchMedia("(min-width: 40rem)").matches;
  fold.firstElementChild.addEventListener("click", () => store.set("samedoor.workers", fold.open ? "folded" : "open")); // what it becomes
  fold.addEventListener("toggle", () => { if (fold.open) cluster.ask(); });

  async function press(what, slot) {
    fate.ordered(what, slot);
    const wrong = await cluster.order(what, slot);
    if (wrong) fate.refused(what, slot, wrong);
  }

  function render() {
    const { workers } = cluster;
    const seen = new Set();
    arrange(body, workers.map((worker) => {
      const key = worker.id || `slot ${worker.slot}`;
      seen.add(key);
      if (!rows.has(key)) rows.set(key, row(worker, demo && press));
      const one = rows.get(key);
      // An order names a slot, which says nothing where several hosts have one of that number.
      one.show(worker, workers.filter(({ slot }) => slot === worker.slot).length === 1);
      return one.el;
    }));
    for (const key of rows.keys()) if (!seen.has(key)) rows.delete(key);
  }
  cluster.addEventListener("change", render);
  render();
}

function row({ slot }, press) {
  const cells = Object.fromEntries(COLUMNS.map((name) => [name, h("td", { role: "cell", class: `w-${name}`, "data-of": name }, "–")]));
  const pid = h("span", { class: "dim" });
  const buttons = !press ? [] : ["kill", "restart"].map((what) => h("button", {
    type: "button", class: `quiet ${what}`, "aria-label": `${name(what)} worker ${slot}`, onclick: () => press(what, slot),
  }, name(what)));
  const el = h("tr", { role: "row", "data-slot": slot },
    h("th", { role: "rowheader", scope: "row" }, tag(slot), " ", pid), ...Object.values(cells),
    press ? h("td", { role: "cell", class: "w-orders" }, ...buttons) : null);

  function show(worker, alone) {
    el.dataset.state = worker.state ?? "–";
    say(pid, worker.pid && !DEAD.includes(worker.state) ? `pid ${worker.pid}` : "");
    for (const [of, cell] of Object.entries(cells)) say(cell, String(worker[of] ?? "–"));
    for (const button of buttons) button.disabled = !alone || ["given up", "unknown"].includes(worker.state);
  }
  return { el, show };
}

const name = (what) => what[0].toUpperCase() + what.slice(1);
