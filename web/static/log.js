// The conversation. What was said stands in the room's order; what is still ours to deliver stands below it.
import { byId, h, say } from "./dom.js";
import { tag } from "./slots.js";

const KEEP = 1000; // elements
const TOGETHER = 2 * 60_000; // ms within which one person's messages share a head

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export function showLog(chat) {
  const log = byId("log");
  const list = byId("log-list");
  const jump = byId("jump");
  const waiting = new Map(); // id → element
  let last = null;
  let unread = 0;

  const atEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  const toEnd = () => { log.scrollTop = log.scrollHeight; unread = 0; jump.hidden = true; };

  /** Adds without moving what somebody is reading. */
  function add(elements, { ours = false, counts = elements.length } = {}) {
    const stick = ours || atEnd();
    const first = waiting.values().next().value ?? null;
    const fragment = document.createDocumentFragment();
    fragment.append(...elements);
    list.insertBefore(fragment, first);
    while (list.childElementCount > KEEP) list.firstElementChild.remove();
    byId("log-empty").hidden = list.childElementCount > 0;
    if (stick) return toEnd();
    unread += counts;
    say(jump, `${unread} new ↓`);
    jump.hidden = unread === 0;
  }

  chat.addEventListener("said", ({ detail }) => {
    const elements = [];
    for (const message of detail) {
      waiting.get(message.id)?.remove();
      waiting.delete(message.id);
      if (!last || day.format(last.at) !== day.format(message.at)) elements.push(divider(day.format(message.at)));
      const follows = last && elements.at(-1)?.className !== "divider" && last.name === message.name && last.slot === message.slot && message.at - last.at < TOGETHER;
      elements.push(item(message, follows));
      last = message;
    }
    add(elements, { ours: detail.some((message) => message.mine), counts: detail.length });
  });

  chat.addEventListener("outbox", ({ detail: entry }) => {
    let el = waiting.get(entry.id);
    if (!el) {
      el = h("li", { class: "msg mine", "data-id": entry.id }, h("p", { class: "msg-text", dir: "auto" }, entry.text), h("p", { class: "msg-state" }));
      waiting.set(entry.id, el);
      list.append(el);
      byId("log-empty").hidden = true;
      toEnd();
    }
    el.dataset.state = entry.state;
    el.querySelector(".msg-state").replaceChildren(...fate(entry, chat));
    if (entry.state === "failed" && atEnd()) toEnd();
  });

  chat.addEventListener("welcome", ({ detail }) => {
    if (!detail.back) {
      list.replaceChildren();
      waiting.clear();
      last = null;
      byId("log-empty").hidden = false;
      if (detail.gap) add([divider("Earlier messages are not shown")], { counts: 0 });
      for (const entry of chat.outbox.values()) if (entry.room === chat.me.room) chat.dispatchEvent(new CustomEvent("outbox", { detail: entry }));
      return;
    }
    if (detail.gap) add([divider("You were away for long: some messages are not shown")], { counts: 0 });
    else if (detail.missed) add([divider(`You’re back: ${detail.missed} ${detail.missed === 1 ? "message" : "messages"} while away`)], { counts: 0 });
  });

  jump.addEventListener("click", () => { toEnd(); log.focus(); });
  log.addEventListener("scroll", () => { if (unread && atEnd()) toEnd(); }, { passive: true });
}

const divider = (text) => h("li", { class: "divider" }, h("span", {}, text));

function item(message, follows) {
  const at = new Date(message.at);
  return h("li", { class: `msg${message.mine ? " mine" : ""}${follows ? " follows" : ""}`, "data-offset": message.offset, "data-id": message.id, "data-state": "sent" },
    follows ? null : h("p", { class: "msg-head" },
      tag(message.slot), h("bdi", { class: "msg-name" }, String(message.name)),
      h("time", { datetime: at.toISOString() }, clock.format(at))),
    h("p", { class: "msg-text", dir: "auto" }, String(message.text)));
}

function fate(entry, chat) {
  if (entry.state === "pending") return [chat.here ? "sending…" : "waiting for the connection…"];
  if (entry.state === "sent") return ["sent"];
  return [h("span", { class: "msg-error" }, `Not sent: ${entry.error}. `), h("button", { type: "button", class: "retry", onclick: () => chat.retry(entry.id) }, "Retry")];
}
