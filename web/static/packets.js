// Engine.IO 4 and Socket.IO 5 packets, read and put into words. Pure: no DOM, and nothing a client or server sends
// makes it throw.
const LONG = 400; // characters of a packet that are shown,
const KEPT = 1000; // and that are remembered
const MOST = 60; // packets of a body that are
const WAS = "\x1f"; // stands between what is remembered of a packet and its true length

const ENGINE = { 0: "open", 1: "close", 2: "ping", 3: "pong", 4: "message", 5: "upgrade", 6: "noop" };
const CODES = Object.fromEntries(Object.entries(ENGINE).map(([code, name]) => [name, code]));
const SOCKET = ["CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"];

/** A body or frame as it is to be remembered: what is long in it, or too much, is left out in a way that decode() knows. */
export function remembered(text) {
  if (typeof text !== "string") return "";
  const packets = text.split("\x1e", MOST + 1).map((raw) => (raw.length > KEPT ? `${raw.slice(0, KEPT)}${WAS}${raw.length}` : raw));
  return (packets.length > MOST ? [...packets.slice(0, MOST), "…"] : packets).join("\x1e");
}

/** [what is left of a packet, its length] */
function recalled(packet) {
  const [, raw, length] = /^([^]*)\x1f(\d+)$/.exec(packet) ?? [null, packet, packet.length];
  return [raw, Number(length)];
}

/** Splits the body of a polling request into decoded packets. dir: "sent" or "received", as the browser sees it. */
export const payload = (text, dir) => (text ? text.split("\x1e").map((raw) => decode(raw, dir)) : []);

/** The text of a packet as the client's transports hand it out: {type, data}. Binary data is told by its size. */
export function packetText({ type, data }) {
  if (typeof data === "string" || data === undefined || data === null) return `${CODES[type] ?? "?"}${data ?? ""}`;
  return binary(data.byteLength ?? data.size ?? 0);
}
const binary = (bytes) => `(${bytes} bytes)`;

/** {raw, name, words, heartbeat}: what is sent, its name in the protocol, one sentence, and whether it is a heartbeat. */
export function decode(packet, dir = "received") {
  const [raw, length] = recalled(packet);
  const rest = raw.slice(1);
  const told = (name, words, heartbeat = false) => ({ raw: cut(raw, LONG, length), name, words, heartbeat });
  switch (raw[0]) {
    case "0": return told("open", opening(rest));
    case "1": return told("close", "Engine.IO close: the transport may be shut.");
    case "2":
      if (rest === "probe") return told("ping probe", "Probe: does this WebSocket reach the session, too?");
      return told("ping", "Ping: a heartbeat, are you there?", true);
    case "3":
      if (rest === "probe") return told("pong probe", "Answer to the probe: yes, the session is here. The upgrade may go on.");
      return told("pong", "Pong: a heartbeat, I am here.", true);
    case "4": {
      const { name, words } = message(rest, dir);
      return told(name, words);
    }
    case "5": return told("upgrade", "Upgrade: from here on, all goes over the WebSocket.");
    case "6": return told("noop", "Noop: ends a waiting poll, so that the transport can be changed.");
    case "b": return told("binary", `Binary data in base64: about ${Math.floor(((length - 1 - (/={1,2}$/.exec(rest)?.[0].length ?? 0)) * 3) / 4)} bytes that the event before it refers to.`);
    case "(": return told("binary", `Binary data ${raw}, which the event before it refers to.`);
    case "…": return told("more", "Further packets, which are not remembered.");
    default: return told("unknown", raw ? "Not an Engine.IO packet." : "Nothing.");
  }
}

/** The body that answers a request, which need not be packets: {"code":1,"message":"…"} refuses, ok is for a POST. */
export function answer(text, status, method) {
  if (status >= 400 || text?.startsWith("{")) {
    const said = json(text);
    const [raw, length] = recalled(text ?? "");
    const words = typeof said?.message === "string" ? `Engine.IO refuses: ${cut(said.message)} (code ${cut(plain(said.code))}).` : "An answer that is not Engine.IO's.";
    return text ? [{ raw: cut(raw, LONG, length), name: "error", words, heartbeat: false }] : [];
  }
  if (method === "POST") return text ? [{ raw: cut(text), name: "taken", words: "The worker took it; answers come with a poll.", heartbeat: false }] : [];
  return payload(text, "received");
}

function opening(text) {
  const said = json(text);
  if (!said || typeof said !== "object") return "Engine.IO open: a session begins.";
  const upgrades = Array.isArray(said.upgrades) && said.upgrades.length ? `, may be upgraded to ${cut(said.upgrades.map(plain).join(", "), 60)}` : "";
  const ping = Number.isFinite(said.pingInterval) ? `, with a ping every ${said.pingInterval / 1000} s` : "";
  return `Engine.IO open: the session's key (sid) is ${cut(plain(said.sid), 60)}${upgrades}${ping}.`;
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
    CONNECT: out ? `Asks to join ${where}${body ? ", showing its auth" : ""}.` : `Joined ${where}${typeof data?.sid === "string" ? `; there its id is ${cut(data.sid, 40)}` : ""}.`,
    DISCONNECT: out ? `Leaves ${where}.` : `Is sent out of ${where}.`,
    CONNECT_ERROR: `May not join ${where}: ${cut(plain(data?.message ?? "no reason given"), 120)}.`,
  }[name];
  if (words) return { name, words };
  if (name === "ACK" || name === "BINARY_ACK") return { name, words: `Answers event ${ack ?? "?"} in ${where}${parts}.` };
  const first = Array.isArray(data) ? data[0] : json(/^\[("(?:[^"\\]|\\.)*")/.exec(body)?.[1]); // of one that is remembered in part
  const event = first === undefined ? "?" : cut(plain(first), 60);
  return { name, words: `${out ? "Emits" : "Gets"} event “${event}” in ${where}${parts}${wants}.` };
}

function json(text) {
  try { return JSON.parse(text); } catch { return undefined; }
}

// String() throws for an object whose toString is not a function.
const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? "?");

/** Long text ends in an ellipsis and its length. Never cuts a character in two. */
export function cut(text, limit = LONG, length = text.length) {
  if (text.length <= limit) return text;
  const end = /[\uD800-\uDBFF]/.test(text[limit - 1]) ? limit - 1 : limit;
  return limit >= 100 ? `${text.slice(0, end)}… (${length} characters)` : `${text.slice(0, end)}…`;
}
