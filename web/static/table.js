// The same as the lanes, for who reads a table, or wants to paste it.
import { copy, h, say } from "./dom.js";
import { duration, time, why } from "./words.js";

const SAID = 2000;

const HEADS = ["when", "session", "request", "status", "worker", "took", "what happened"];

export function table(box, { sessions, items }) {
  if (box.hidden) return;
  if (!box.firstElementChild) {
    box.append(h("table", {},
      h("caption", { class: "vh" }, "The requests of the timeline, oldest first"),
      h("thead", {}, h("tr", {}, ...HEADS.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody")));
  }
  const body = box.querySelector("tbody");
  while (body.rows.length > items.length) body.lastElementChild.remove();
  items.forEach((item, row) => { // in place: who reads it line by line stays where they are
    const tr = body.rows[row] ?? body.appendChild(h("tr", {}, ...HEADS.map((_, i) => h(i ? "td" : "th", i ? {} : { scope: "row" }))));
    tr.classList.toggle("bad", item.ok === false);
    cells(item, sessions, items).forEach((text, i) => say(tr.cells[i], text));
  });
}

function cells(item, sessions, items) {
  const first = items.find(({ sid }) => sid === item.sid);
  const session = sessions.find(({ sid }) => sid === item.sid);
  const when = `+${time(Math.max(0, item.at - first.at))}`;
  const key = `${session?.nth ?? ""}: ${short(item.sid)}`;
  if (item.kind !== "request") return [when, key, item.kind, "", String(item.slot), item.ms ? time(item.ms) : "", other(item)];
  const way = item.forwarded ? `${item.via} → ${item.slot}` : String(item.slot);
  return [when, key, `${item.method} ${item.step}`, String(item.status || "–"), way, duration(item.ms), why(item, item.sid)];
}

function other(item) {
  if (item.kind === "more") return `${item.count} more requests, ${item.ok ? "all well" : "older ones"}`;
  if (item.kind === "close") return "The WebSocket ended.";
  return `${item.sent} frames sent, ${item.received} received, ${item.heartbeats} of them heartbeats`;
}

// A whole sid is the key to a session that may be alive: it is not put where it may be pasted in public.
const short = (sid) => (sid.length > 8 ? `${sid.slice(0, 8)}…` : sid);

/** The timeline as lines of text, columns apart. */
export function asText({ sessions, items }) {
  const rows = [HEADS, ...items.map((item) => cells(item, sessions, items))];
  const widths = HEADS.map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) => row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]))).join("  ").trimEnd()).join("\n") + "\n";
}

/** Puts it on the clipboard; where that is not allowed, selects it to be copied by hand. */
export async function copied(button, now) {
  const text = asText(now);
  if (await copy(text)) say(button, "Copied");
  else {
    const area = h("textarea", { readonly: true, rows: "8", class: "tl-text", "aria-label": "The timeline as text" });
    area.value = text;
    button.closest(".tl-tools").after(area);
    area.select();
    area.addEventListener("blur", () => area.remove(), { once: true });
    say(button, "Press Ctrl+C");
  }
  setTimeout(() => say(button, "Copy as text"), SAID);
}
