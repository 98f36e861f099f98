// A slot is shown as a number first and as a colour second: never as a colour alone.
import { h } from "./dom.js";

const HUES = 8; // as many as base.css can keep apart; slot 8 shares its hue with slot 0, not its number

export const hue = (slot) => slot % HUES;

// The next eight are outlined where the first are filled, and so on in turn.
const round = (slot) => (Math.floor(slot / HUES) % 2 ? "odd" : null);

export function paint(el, slot) {
  if (slot === null || slot === undefined) { delete el.dataset.hue; delete el.dataset.round; return; }
  el.dataset.hue = hue(slot);
  if (round(slot)) el.dataset.round = round(slot);
  else delete el.dataset.round;
}

/** A small numbered tag. */
export function tag(slot) {
  return h("span", { class: "tag", "data-hue": hue(slot), "data-round": round(slot) }, h("span", { class: "vh" }, "worker "), String(slot));
}

/** "2.Xy…" → "2", "2-host.Xy…" → "2-host", an untagged sid → "". */
export function ownerPart(sid) {
  const dot = sid ? sid.indexOf(".") : -1;
  return dot > 0 ? sid.slice(0, dot) : "";
}

/** The slot in a sid, or null. */
export function ownerOf(sid) {
  const match = /^(\d+)(-|$)/.exec(ownerPart(sid));
  return match ? Number(match[1]) : null;
}
