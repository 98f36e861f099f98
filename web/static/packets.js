// Engine.IO 4 and Socket.IO 5 packets, read and put into words. Pure: no DOM, and nothing a client or server sends
// makes it throw.
const LONG = 400; // characters of a packet that are shown

const ENGINE = { 0: "open", 1: "close", 2: "ping", 3: "pong", 4: "message", 5: "upgrade", 6: "noop" };
const CODES = Object.fromEntries(Object.entries(ENGINE).map(([code, name]) => [name, code]));
const SOCKET = ["CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"];

/** Splits the body of a polling request into decoded packets. dir: "sent" or "received", as the browser sees it. */
export const payload = (text, dir) => (text ? text.split("\x1e").map((raw) => decode(raw, dir)) : []);

/** The text of a packet as the client's transports hand it out: {type, data}. Binary data is told by its size. */
export function packetText({ type, data }) {
  if (typeof data === "string" || data === undefined || data === null) return `${CODES[type] ?? "?"}${data ?? ""}`;
  return binary(data.byteLength ?? data.size ?? 0);
}
const binary = (bytes) => `(${bytes} bytes)`;

/** {raw, name, words, heartbeat}: what is sent, its name in the protocol, one sentence, and whether it is a heartbeat. */
export function decode(raw, dir = "received") {
  const rest = raw.slice(1);
  const told = (name, words, heartbeat = false) => ({ raw: cut(raw), name, words, heartbeat });
  switch (raw[0]) {
    case "0": return told("open", opening(rest));
    case "1": return told("close", "Engine.IO close: the transport may be shut.");
    case "2":
      if (rest === "probe") return told("ping probe", "Probe: does this WebSocket reach the session, too?");
      return told("ping", "Ping: a heartbeat, are you there?", true);
    case "3":
      if (rest === "probe") return told("pong probe", "Answer to the probe: yes, the session is here. The upgrade may go on.");
      return told("pong", "Pong: a heartbeat, I am here.", true);
    case "4": return { raw: cut(raw), heartbeat: false, ...message(rest, dir) };
    case "5": return told("upgrade", "Upgrade: from here on, all goes over the WebSocket.");
    case "6": return told("noop", "Noop: ends a waiting poll, so that the transport can be changed.");
    case "b": return told("binary", `Binary data in base64: about ${Math.floor((rest.replace(/=+$/, "").length * 3) / 4)} bytes that the event before it refers to.`);
    case "(": return told("binary", `Binary data ${raw}, which the event before it refers to.`);
    default: return told("unknown", raw ? "Not an Engine.IO packet." : "Nothing.");
  }
}

/** The body that answers a request, which need not be packets: {"code":1,"message":"…"} refuses, ok is for a POST. */
export function answer(text, status, method) {
  if (status >= 400 || text?.startsWith("{")) {
    const said = json(text);
    const words = typeof said?.message === "string" ? `Engine.IO refuses: ${cut(said.message)} (code ${cut(String(said.code))}).` : "An answer that is not Engine.IO's.";
    return text ? [{ raw: cut(text), name: "error", words, heartbeat: false }] : [];
  }
  if (method === "POST") return text ? [{ raw: cut(text), name: "taken", words: "The worker took it; answers come with a poll.", heartbeat: false }] : [];
  return payload(text, "received");
}

function opening(text) {
  const said = json(text);
  if (!said || typeof said !== "object") return "Engine.IO open: a session begins.";
  const upgrades = Array.isArray(said.upgrades) && said.upgrades.length ? `, may be upgraded to ${cut(said.upgrades.join(", "), 60)}` : "";
  const ping = Number.isFinite(said.pingInterval) ? `, with a ping every ${said.pingInterval / 1000} s` : "";
  return `Engine.IO open: the session's key (sid) is ${cut(String(said.sid), 60)}${upgrades}${ping}.`;
}

// <type>[<attachments>-][<namespace>,][<ack id>][JSON]
function message(text, dir) {
  const match = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d+)?([^]*)$/.exec(text);
  if (!match) return { name: "message", words: "A message that is not Socket.IO's." };
  const [, type, attachments, namespace = "/", ack, body] = match;
  const name = SOCKET[type];
  const data = json(body);
  const where = `namespace ${cut(namespace, 60)}`;
  const out = dir === "sent";
  const wants = ack === undefined ? "" : `, and asks for ack ${ack}`;
  const parts = attachments === undefined ? "" : ` with ${attachments} binary ${attachments === "1" ? "part" : "parts"}`;
  const words = {
    CONNECT: out ? `Asks to join ${where}${data ? ", showing its auth" : ""}.` : `Joined ${where}${typeof data?.sid === "string" ? `; there its id is ${cut(data.sid, 40)}` : ""}.`,
    DISCONNECT: out ? `Leaves ${where}.` : `Is sent out of ${where}.`,
    CONNECT_ERROR: `May not join ${where}: ${cut(String(data?.message ?? "no reason given"), 120)}.`,
  }[name];
  if (words) return { name, words };
  if (name === "ACK" || name === "BINARY_ACK") return { name, words: `Answers event ${ack ?? "?"} in ${where}${parts}.` };
  const event = Array.isArray(data) ? cut(String(data[0]), 60) : "?";
  return { name, words: `${out ? "Emits" : "Gets"} event “${event}” in ${where}${parts}${wants}.` };
}

function json(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}

/** Long text ends in an ellipsis and its length. Never cuts a character in two. */
export function cut(text, limit = LONG) {
  if (text.length <= limit) return text;
  const end = /[\uD800-\uDBFF]/.test(text[limit - 1]) ? limit - 1 : limit;
  return limit >= 100 ? `${text.slice(0, end)}… (${text.length} characters)` : `${text.slice(0, end)}…`;
}
