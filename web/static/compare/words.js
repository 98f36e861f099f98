// What the page says about a handshake and about a run, as plain functions of what is known.
import { judge } from "../words.js";

const THOUGHT = {
  unreachable: "Nothing answered.",
  slow: "It did not come to an end in 8 s.",
};

/** One handshake: {tone, text}. result: of handshake(), requests: as recorded. */
export function told({ outcome, sid, text }, requests, control) {
  const judged = requests.map((request) => ({ ...request, ...judge(request, sid) }));
  const wrong = judged.find((one) => one.stranger) ?? judged.find((one) => !one.ok);
  const met = wrong && (wrong.stranger
    ? `Its ${wrong.step} reached worker ${wrong.slot}, the session lives in worker ${wrong.owner}: ${wrong.status} ${wrong.error}.`
    : `Its ${wrong.step} was answered ${wrong.status} ${wrong.error ?? ""}.`);
  if (outcome === "polling") return { tone: "bad", text: `No WebSocket, polling only. ${met ?? ""}` };
  if (outcome !== "websocket") return { tone: "bad", text: met ?? THOUGHT[outcome] ?? `It broke: ${text}.` };
  const forwarded = judged.filter((one) => one.forwarded).length;
  const owners = [...new Set(judged.map((one) => one.slot))];
  if (owners.length > 1) return { tone: "good", text: `WebSocket. Answered by workers ${owners.join(" and ")}.` };
  if (control) return { tone: "warn", text: "WebSocket, by luck: this browser happened to use the right connections." };
  const way = forwarded === 0 ? "" : forwarded === 1 ? ", one by way of a neighbour" : `, ${forwarded} by way of a neighbour`;
  return { tone: "good", text: `WebSocket. All ${judged.length} requests reached worker ${owners[0] ?? "?"}${way}.` };
}

const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);

/** All handshakes: rows of {name, tone}. */
export function overall(rows) {
  const broke = rows.filter((row) => row.tone === "bad").map((row) => row.name);
  const came = rows.filter((row) => row.tone !== "bad");
  if (!rows.length) return { tone: "idle", title: "No strategy is ready.", detail: "Their rows say why." };
  if (!broke.length) return { tone: "good", title: "Every strategy came to a WebSocket.", detail: "One browser may be lucky. Many clients show the shares." };
  return {
    tone: came.length ? "warn" : "bad",
    title: `${broke.length > 1 ? "Strategies" : "Strategy"} ${listed(broke)} broke${came.length ? `, ${came.length === 1 ? "one other" : `the other ${came.length}`} came to a WebSocket` : ""}.`,
    detail: "Each row shows which worker answered each request, as the workers recorded it.",
  };
}

/** A run of many clients. */
export function crowd({ clients, strategies, note }) {
  const ran = strategies.filter((one) => one.state === "ready");
  const all = ran.filter((one) => one.failed === 0).map((one) => one.name);
  const some = ran.filter((one) => one.failed > 0);
  const lost = some.map((one, i) => `${one.name} ${i ? "" : "let "}${one.came_through} of ${clients}${i ? "" : " clients through"}`);
  const others = all.length === 1 ? all[0] : "the others";
  const title = all.length === ran.length ? `All ${clients} clients came through every strategy.`
    : `Strategy ${listed(lost)}${all.length ? `, ${others} all ${clients}` : ""}.`;
  return { tone: some.some((one) => !one.control) ? "bad" : some.length ? "warn" : "good", title, detail: note || "Each client came from an address of its own and made each request on a connection of its own." };
}

/** What kept clients out: "400: Session ID unknown, to post (15), poll (4)". */
export function lost(failures) {
  const by = new Map(); // answer → steps that got it
  for (const { why, clients } of failures) {
    const [, step, answer] = /^(\w+) answered (.*)$/.exec(why) ?? [null, "", why];
    by.set(answer, [...(by.get(answer) ?? []), step ? `${step} (${clients})` : `(${clients})`]);
  }
  return [...by].map(([answer, steps]) => `${answer}${steps[0].startsWith("(") ? "" : ", to"} ${steps.join(", ")}`).join("; ");
}

/** Why a strategy is not ready. */
export function absence({ state, reason }) {
  return {
    starting: "Starting…",
    unavailable: `Can’t run here. ${reason}`,
    restarting: `It died and is being started again. ${reason}`,
    gone: `It failed and was given up. ${reason}`,
  }[state] ?? "";
}
