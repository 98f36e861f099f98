// An opened mark: what the request carried, packet by packet, in words.
import { h } from "./dom.js";
import { answer, decode, payload } from "./packets.js";
import { duration, time, why } from "./words.js";

const LATEST = 40; // frames told of

export function opened(box, item, close, heartbeats = true) {
  const told = JSON.stringify([heartbeats, item.id, item.status, item.sent, item.received, item.count, item.seen ? 1 : 0]);
  if (!box.hidden && box.dataset.told === told) return;
  box.dataset.told = told;
  const parts = body(item, heartbeats).filter(Boolean);
  if (!box.hidden && box.dataset.id === item.id) return again(box, parts);
  box.dataset.id = item.id;
  const button = h("button", { type: "button", class: "quiet", onclick: () => close() }, "Close");
  box.replaceChildren(h("div", { class: "op-head" }, h("h3", {}, title(item)), button), ...parts);
  box.hidden = false;
}

// While it stands open its counts go on: the focus stays where it is, and so does what was scrolled to.
function again(box, parts) {
  const list = box.querySelector("ol");
  const [focused, top] = [list !== null && list === document.activeElement, list?.scrollTop ?? 0];
  while (box.children.length > 1) box.lastElementChild.remove();
  box.append(...parts);
  const now = box.querySelector("ol");
  if (focused) now?.focus({ preventScroll: true });
  if (now) now.scrollTop = top;
}

function title(item) {
  if (item.kind === "frames") return "Frames of the WebSocket";
  if (item.kind === "more") return `${item.count} requests${item.ok ? " that went well" : ", some of which went wrong"}`;
  if (item.kind === "close") return "The WebSocket closed";
  return `${item.step}: ${item.method} ${item.status || "unanswered"}`;
}

function body(item, heartbeats) {
  if (item.kind === "more") return more(item);
  if (item.kind === "close") return [facts([["worker", item.slot], ["it lasted", time(item.ms)], ["from the browser", bytes(item.received)], ["to the browser", bytes(item.sent)]])];
  if (item.kind === "frames") return frames(item, heartbeats);
  return request(item);
}

function request(item) {
  const { seen } = item;
  const sentence = why(item, item.sid);
  const parts = [
    sentence ? h("p", { class: item.ok ? "op-why" : "op-why bad" }, sentence) : null,
    facts([["answered by", `worker ${item.slot}`], item.forwarded ? ["forwarded by", `worker ${item.via}`] : null,
      ["lives in", item.owner === null || item.owner === undefined ? "not told by this sid" : `worker ${item.owner}`], ["took", duration(item.ms)],
      ["transport", item.transport], ["session", item.sid]].filter(Boolean)),
  ];
  if (item.step === "upgrade") {
    parts.push(h("p", { class: "dim" }, "A browser hides the status of a WebSocket's handshake from the page: only the workers can tell it."));
    if (seen?.probe) parts.push(packets("Over the WebSocket", seen.probe.map(({ dir, text }) => ({ dir, ...decode(text, dir) }))));
  } else if (seen) {
    parts.push(packets("Sent by the browser", payload(seen.sent, "sent"), "Nothing but the address: a GET has no body."));
    parts.push(packets("Received", answer(seen.received, item.status, item.method), "Nothing."));
  } else parts.push(h("p", { class: "dim" }, "The browser's side was not recorded: the list was folded, or the browser gave up before the answer."));
  return parts;
}

function frames(item, heartbeats) {
  const list = item.list.map(({ dir, text }) => ({ dir, ...decode(text, dir) })).filter((packet) => heartbeats || !packet.heartbeat).slice(-LATEST);
  return [
    facts([["sent", item.sent], ["received", item.received], ["heartbeats among them", item.heartbeats], ["worker", item.slot]]),
    packets(item.sent + item.received > list.length ? `The latest ${list.length}` : "All of them", list),
  ];
}

function more({ list }) {
  const count = new Map();
  for (const { step, slot } of list) count.set(`${step}, worker ${slot}`, (count.get(`${step}, worker ${slot}`) ?? 0) + 1);
  return [facts([...count])];
}

const facts = (pairs) => h("dl", { class: "op-facts" }, ...pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
const bytes = (n) => `${n} bytes`;

function packets(title, list, none = "") {
  const rows = list.map(({ raw, name, words, dir }) => h("li", {},
    h("span", { class: "op-name" }, dir ? h("span", { class: `op-dir ${dir}` }, dir === "sent" ? "↑ sent" : "↓ received") : null, h("b", {}, name)),
    h("code", { dir: "ltr" }, raw), h("span", { class: "op-words" }, words)));
  return h("div", { class: "op-packets" }, h("h4", {}, title), list.length ? h("ol", { tabindex: "0", "aria-label": title }, ...rows) : h("p", { class: "dim" }, none));
}
