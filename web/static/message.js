// One entry of the conversation, drawn: a message, stored or not, or a line between messages.
import { h, say } from "./dom.js";
import { tag } from "./slots.js";

const TOGETHER = 2 * 60_000; // ms within which one person's messages share a head
const LONG = 200; // characters, or
const LINES = 6; // lines, from which on a message may be too high to be shown as a whole

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const english = navigator.languages?.find((one) => one.startsWith("en")) ?? "en-GB"; // as all of the page is
const day = new Intl.DateTimeFormat(english, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

/**
 * Draws an entry and returns its element:
 *   {line, kind}                              a line between messages
 *   {offset, id, name, slot, text, at}        a stored message
 *   {id, name, slot, text, at, state, error}  one of ours that is not stored
 * One that was drawn keeps its element and its text, so that nothing flickers, and nothing is read out twice, when
 * what was waiting is stored. before is the last message above, or null; adjacent: nothing is between the two.
 */
export function draw(entry, before, adjacent, retry) {
  if (entry.line) return (entry.el ??= h("li", { class: "entry" }, divider(entry.line, entry.kind)));
  entry.el ??= h("li", { class: "entry" }, h("div", { class: "msg" }, ...body(String(entry.text))));
  const msg = entry.el.querySelector(".msg");
  const today = before !== null && sameDay(before.at, entry.at);
  setDay(entry, msg, !today);

  const follows = today && adjacent && before.name === entry.name && before.slot === entry.slot && entry.at - before.at < TOGETHER;
  msg.classList.toggle("follows", follows);
  if (entry.mine || entry.state) msg.classList.add("mine");
  setHead(entry, msg, !follows);

  msg.dataset.id = entry.id;
  if (entry.offset) msg.dataset.offset = entry.offset;
  msg.dataset.state = entry.state ?? "sent";
  msg.classList.toggle("away", entry.state === "pending" && entry.away);
  setFate(entry, msg, retry);
  return entry.el;
}

const divider = (text, kind) => h("p", { class: kind ? `divider ${kind}` : "divider" }, h("span", {}, text));

function sameDay(a, b) {
  const [one, other] = [new Date(a), new Date(b)];
  return one.getDate() === other.getDate() && one.getMonth() === other.getMonth() && one.getFullYear() === other.getFullYear();
}

// Formatting takes longer than all the rest, and messages come by the minute.
let lately = { at: 0, text: "" };
function minute(at) {
  const start = Math.floor(at / 60_000) * 60_000;
  if (lately.at !== start) lately = { at: start, text: clock.format(start) };
  return lately.text;
}

function setDay(entry, msg, shown) {
  const now = msg.previousElementSibling;
  if (!shown) return now?.remove();
  const text = day.format(entry.at);
  if (now) say(now.firstElementChild, text);
  else msg.before(divider(text));
}

function setHead(entry, msg, shown) {
  const now = msg.querySelector(".msg-head");
  const who = `${entry.slot} ${entry.name}`;
  if (!shown) return now?.remove();
  const at = new Date(entry.at);
  const time = h("time", { datetime: at.toISOString() }, minute(entry.at));
  if (now?.dataset.who === who) return now.lastElementChild.replaceWith(time);
  now?.remove();
  msg.prepend(h("p", { class: "msg-head", "data-who": who },
    Number.isInteger(entry.slot) ? tag(entry.slot) : null, h("bdi", { class: "msg-name" }, String(entry.name)), time));
}

function body(text) {
  const words = h("p", { class: "msg-text", dir: "auto" }, text);
  if (text.length <= LONG && text.split("\n", LINES + 1).length <= LINES) return [words];
  words.classList.add("cut");
  const button = h("button", {
    type: "button", class: "whole", "aria-expanded": "false", hidden: true,
    onclick: () => {
      const cut = words.classList.toggle("cut");
      button.setAttribute("aria-expanded", String(!cut));
      say(button, cut ? "Show all of it" : "Show less");
    },
  }, "Show all of it");
  return [words, button];
}

/** Offers all of a message where part of it is cut off. To be called when list is laid out. */
export function measure(list) {
  const cut = [...list.querySelectorAll(".msg-text.cut")].map((words) => [words.nextElementSibling, words.scrollHeight <= words.clientHeight + 1]);
  for (const [button, whole] of cut) button.hidden = whole;
}

function setFate(entry, msg, retry) {
  const now = msg.querySelector(".msg-state");
  if (!entry.state || entry.state === "sent") return now?.remove();
  const line = now ?? msg.appendChild(h("p", { class: "msg-state" }));
  if (entry.state === "pending") return say(line, entry.away ? "Waits for the connection…" : "Sending…");
  line.replaceChildren(
    h("span", { class: "msg-error" }, `Not sent: ${entry.error}. `),
    h("button", { type: "button", class: "retry", onclick: () => retry(entry.id) }, "Retry"));
}
