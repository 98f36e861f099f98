// The comparison's page: runs this browser's handshake through all clusters, one after the other so that none waits for
// another, and has the server run many clients.
import { byId, LIMIT, say, whileVisible } from "../dom.js";
import { handshake, recorded } from "./handshake.js";
import { keepers } from "./keep.js";
import { rowsOf } from "./row.js";
import { crowd, overall } from "./words.js";

const { workers, clients, token } = document.body.dataset;
const rows = rowsOf(byId("rows"), Number(workers));
const kept = keepers();

const CALM = 2000; // ms between two looks at the clusters
const KEEN = 250; // while a run is under way
const LATER = [60, 350, 1000]; // ms: a request that was cut off is recorded when its worker notices

function verdict({ tone, title, detail }, announce = true) {
  byId("verdict").dataset.tone = tone;
  const [first, second] = byId("verdict").children;
  say(first, title);
  say(second, detail);
  if (announce) say(byId("announce"), `${title} ${detail}`);
}

let shaking = false; // this browser's handshakes are under way
let running = false; // the server's clients are
let shown = null; // when the results on show began
let first = true; // nothing was heard of the server yet
let gone = false; // nor is now

// This browser.
byId("shake").addEventListener("click", async () => {
  shaking = true;
  buttons();
  verdict({ tone: "busy", title: "Knocking at every door…", detail: "One strategy after the other, so that none waits for another." }, false);
  const met = rows.filter((row) => row.ready);
  for (const row of met) await through(row);
  verdict(overall(met));
  shaking = false;
  buttons();
});

// One at a time: each would tell in the times of the other.
function buttons() {
  byId("shake").disabled = shaking || running;
  byId("clients").disabled = shaking;
  say(byId("clients"), running ? "Stop" : `Run ${clients} clients`);
}

async function through(row) {
  row.busy();
  const result = await handshake(row.base, row.routed);
  row.seen = result.sid;
  row.shook(result, []);
  if (!result.sid) return;
  const look = async () => {
    const requests = await recorded(row.base, result.sid);
    if (row.seen === result.sid && requests.length) row.shook(result, requests); // else a later handshake is on show
  };
  if (result.outcome !== "websocket") result.close(); // what it still waits for ends, and is recorded
  for (const [i, delay] of LATER.entries()) {
    if (i > 0 && result.outcome === "websocket") break;
    const wait = new Promise((done) => { setTimeout(() => done(look()), delay); });
    if (i === 0) await wait;
  }
  result.close();
}

// Many clients, of the server's.
async function order(what) {
  const response = await fetch(`/compare/${what}`, { method: "POST", headers: { "X-Samedoor-Token": token }, signal: AbortSignal.timeout(LIMIT) });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) verdict({ tone: "bad", title: "The server refused.", detail: answer.error ?? `It answered ${response.status}.` });
}

byId("clients").addEventListener("click", async () => {
  try {
    await order(running ? "stop" : "run");
  } catch {
    return away();
  }
  look();
});

function away() {
  gone = true;
  verdict({ tone: "bad", title: "Nothing answers here any more.", detail: "samedoor compare may be stopped." });
}

function show({ strategies, run, results }) {
  if (gone) return location.reload(); // it is another, with another token
  for (const strategy of strategies) {
    const row = rows.find((one) => one.name === strategy.name);
    if (strategy.port !== row.port) return location.reload(); // other ports than this page may connect to
    row.is(strategy);
  }
  const ended = running && !run.running;
  running = run.running;
  buttons();
  if (running) verdict({ tone: "busy", title: `${run.done} of ${run.total} clients have come…`, detail: `Now through ${run.strategy || "the first strategy"}.` }, false);
  if (results && results.at !== shown && !running) {
    shown = results.at;
    for (const row of rows) row.came(results.strategies.find((one) => one.name === row.name), results.clients);
    kept.has(results);
    if (!first) verdict(crowd(results));
  } else if (ended) verdict({ tone: "idle", title: "Stopped.", detail: "The results of a stopped run are dropped." });
  first = false;
}

let timer = 0;
let looking = false;
async function look() {
  clearTimeout(timer);
  if (looking) return;
  looking = true;
  try {
    const response = await fetch("/compare/state", { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
    show(await response.json());
  } catch {
    if (!first) away();
  } finally {
    looking = false;
  }
  if (running) timer = setTimeout(look, KEEN);
}
whileVisible(CALM, look);
look();

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("rows").focus();
});
