// Clients that connect once: polling first, both namespaces, upgrade, a message in each. They don't reconnect, so
// that what goes wrong is seen.
import { address, Door } from "./door.mjs";

/** Resolves to what became of client i: {address, sid, upgraded, replies, failed, requests, errors}. */
async function one(io, i, { url, addresses, route, limit, keepAlive }) {
  const from = addresses ? address(i, addresses) : "";
  const door = new Door(from, keepAlive && i % 2 === 1);
  const result = { address: from, sid: "", upgraded: false, replies: {}, failed: "", requests: door.answers, errors: door.errors };
  let root;
  try {
    const target = await door.route(url, route);
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("took too long")), limit);
      late.unref();
      root = io(target, { forceNew: true, reconnection: false, agent: door, timeout: limit });
      const ws = root.io.socket("/ws");
      const engine = root.io.engine;
      const ask = () => {
        if (result.upgraded && root.connected && ws.connected) for (const s of [root, ws]) s.emit("b:message", {});
      };
      engine.on("open", () => (result.sid = engine.id));
      engine.on("upgrade", (transport) => {
        result.upgraded = transport.name === "websocket";
        ask();
      });
      engine.on("upgradeError", (error) => reject(new Error(`upgrade: ${error.message}`)));
      for (const s of [root, ws]) {
        s.on("connect", ask);
        s.on("connect_error", (error) => reject(new Error(`connect_error: ${error.message} ${error.context?.responseText ?? ""}`)));
        s.on("disconnect", (reason) => reject(new Error(`disconnect: ${reason}`)));
        s.on("s:message", (text, by) => {
          result.replies[s.nsp] = { text, ...by };
          if (Object.keys(result.replies).length === 2) resolve();
        });
      }
      ws.connect();
    });
  } catch (error) {
    result.failed = error.message;
  }
  door.shut();
  root?.io.engine.close();
  door.destroy();
  return result;
}

/** Runs `clients` of them, at most `abreast` at a time. */
export async function once(io, config) {
  const results = new Array(config.clients);
  let next = 0;
  const lane = async () => {
    while (next < config.clients) {
      const i = next++;
      results[i] = await one(io, i, config);
    }
  };
  await Promise.all(Array.from({ length: config.abreast ?? config.clients }, lane));
  return results;
}
