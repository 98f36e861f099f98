// One handshake, as /page's client makes it, and what the cluster's workers saw of it.
import { LIMIT } from "../dom.js";
import { Manager } from "../socket.io.esm.min.js";

const PATIENCE = 8000; // ms for all of it

/**
 * Connects to the cluster at base (routed: where its /route says) until there is a WebSocket, or it is known that there
 * won't be one. Resolves to {outcome, sid, ms, text, close}; outcome: websocket, polling, broken, unreachable or slow.
 */
export async function handshake(base, routed) {
  const startedAt = performance.now();
  let origin = base;
  try {
    if (routed) origin = (await (await fetch(`${base}/route`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) })).json()).url;
  } catch (error) {
    return { outcome: "unreachable", sid: null, ms: null, text: error.message, close() {} };
  }
  const manager = new Manager(origin, { autoConnect: false, reconnection: false, timeout: PATIENCE });
  const socket = manager.socket("/");
  const close = () => { socket.disconnect(); manager.engine?.close(); };

  return new Promise((resolve) => {
    let sid = null;
    let joined = false;
    let upgradedAt = 0;
    let refused = false;
    let over = false;
    const end = (outcome, text = "") => {
      if (over) return;
      over = true;
      clearTimeout(late);
      resolve({ outcome, sid, text, ms: outcome === "websocket" ? upgradedAt - startedAt : null, close });
    };
    const late = setTimeout(() => end("slow"), PATIENCE);
    const settle = () => {
      if (joined && upgradedAt) end("websocket");
      else if (joined && refused) end("polling");
    };
    manager.on("open", () => {
      const engine = manager.engine;
      sid = engine.id;
      engine.on("upgrade", () => { upgradedAt = performance.now(); settle(); });
      engine.on("upgradeError", () => { refused = true; settle(); });
    });
    manager.on("error", (error) => end(sid ? "broken" : "unreachable", error.message));
    manager.on("close", (reason) => end("broken", reason));
    socket.on("connect", () => { joined = true; settle(); });
    socket.on("connect_error", (error) => end(sid ? "broken" : "unreachable", error.message));
    socket.connect();
  });
}

/** The requests of a session as the cluster's workers recorded them, oldest first; [] if nobody tells. */
export async function recorded(base, sid) {
  try {
    const response = await fetch(`${base}/trace?sid=${encodeURIComponent(sid)}`, { cache: "no-store", signal: AbortSignal.timeout(LIMIT) });
    const requests = response.ok ? await response.json() : [];
    return requests.filter((request) => request.step !== "close"); // an event, not a request
  } catch {
    return [];
  }
}
