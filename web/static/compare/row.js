// One strategy's row: what it is, this browser's handshake, and the share of many clients.
import { say, svg, tied } from "../dom.js";
import { hue, tag } from "../slots.js";
import { duration, judge } from "../words.js";
import { lane } from "./lane.js";
import { absence, lost, told } from "./words.js";

const NONE = "–";

class Row {
  constructor(el, workers) {
    this.el = el;
    this.name = el.dataset.strategy;
    this.control = "control" in el.dataset;
    this.port = Number(el.dataset.port);
    this.workers = workers;
    this.#find(".mini").replaceChildren(lane(workers, null, []));
  }

  get ready() { return this.el.dataset.state === "ready"; }
  get tone() { return this.el.dataset.verdict; }
  get base() { return `${location.protocol}//${location.hostname}:${this.port}`; }

  #find(selector) { return this.el.querySelector(selector); }
  #fact(name) { return this.#find(`[data-fact="${name}"]`); }

  /** What the server tells of the cluster: an entry of /compare/state. */
  is(strategy) {
    const { state, routed, restarts } = strategy;
    this.routed = routed;
    this.el.dataset.state = state;
    const absent = this.#find(".absent");
    absent.hidden = state === "ready";
    say(absent, absence(strategy));
    say(this.#fact("restarts"), restarts ? `It died and was started again${restarts > 1 ? `, ${restarts} times` : ""}.` : "");
    const link = this.#find(".strat-page a");
    link.href = `${this.base}/page`;
    link.hidden = !this.ready;
  }

  busy() {
    this.el.dataset.verdict = "busy";
    say(this.#find(".shake-verdict"), "Knocking…");
  }

  /** A handshake and the requests that the workers recorded of it. */
  shook(result, requests) {
    const { tone, text } = told(result, requests, this.control);
    Object.assign(this.el.dataset, { verdict: tone, sid: result.sid ?? "" });
    say(this.#find(".shake-verdict"), tied(text));
    this.#find(".mini").replaceChildren(lane(this.workers, result.sid, requests));
    say(this.#fact("ms"), result.ms === null ? NONE : duration(result.ms));
    say(this.#fact("requests"), String(requests.length));
    say(this.#fact("forwarded"), String(requests.filter((one) => judge(one, result.sid).forwarded).length));
    const touched = [...new Set(requests.flatMap((one) => [one.slot, one.via]).filter(Number.isInteger))].sort((a, b) => a - b);
    this.#fact("workers").replaceChildren(...(touched.length ? touched.map(tag) : [NONE]));
  }

  /** The strategy's part of a run's results. */
  came(one, clients) {
    const ran = one?.state === "ready";
    say(this.#fact("share"), ran ? `${one.came_through} of ${clients}` : NONE);
    this.#find(".crowd").dataset.tone = !ran ? "idle" : one.failed ? "bad" : "good";
    say(this.#fact("refused"), ran ? String(one.status_400) : NONE);
    say(this.#fact("crowd-forwarded"), ran ? String(one.forwarded) : NONE);
    say(this.#fact("median"), ran && one.median_ms !== null ? duration(one.median_ms) : NONE);
    this.#find(".bar").replaceChildren(...(ran ? [share(one.came_through / clients)] : []));
    this.#find(".spread").replaceChildren(...(ran ? [spread(one.sessions)] : []));
    say(this.#find(".crowd-why"), ran ? lost(one.failures) : "");
  }
}

const share = (part) => svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none" },
  svg("rect", { class: "part", width: 100 * part, height: 8 }));

/** How many sessions each worker was given. */
function spread(sessions) {
  const most = Math.max(1, ...sessions);
  const label = `Sessions by worker: ${sessions.map((n, slot) => `${n} in ${slot}`).join(", ")}`;
  const step = Math.min(22, 88 / sessions.length);
  const bars = sessions.flatMap((n, slot) => {
    const tall = Math.max(1, (22 * n) / most);
    const bar = svg("rect", { "data-hue": hue(slot), x: slot * step, y: 24 - tall, width: step - 3, height: tall, rx: 1 });
    return step < 16 ? [bar] : [bar, svg("text", { x: slot * step + (step - 3) / 2, y: 36 }, String(n))];
  });
  return svg("svg", { viewBox: `0 0 ${step * sessions.length} 40`, width: step * sessions.length, height: 40, role: "img", "aria-label": label }, ...bars);
}

export const rowsOf = (list, workers) => [...list.children].map((el) => new Row(el, workers));
