// A handshake in little: a lane per worker, time to the right, a mark per request in the lane of the worker that
// answered. The shapes are those of /page: round for HTTP, square for the upgrade, red where it was refused, a dashed
// ring where the session lives, a ring and a line where a neighbour forwarded it.
import { svg } from "../dom.js";
import { hue } from "../slots.js";
import { judge, why } from "../words.js";

const WIDE = 290; // always, so that nothing jumps: many marks move closer together
const LANE = 20;
const SIDE = 26;
const COLUMNS = 6; // at least
const FOOT = 16;
const MOST = 8; // marks; and lanes, where no more of them were touched
const R = 7;

/** requests: as recorded, [] for none yet. Returns an <svg role=img>. */
export function lane(workers, sid, requests) {
  const shown = requests.slice(0, MOST);
  const touched = new Set(shown.flatMap((one) => [one.slot, one.via, judge(one, sid).owner]).filter(Number.isInteger));
  const all = [...new Set([...touched, ...Array(workers).keys()])];
  const slots = all.slice(0, Math.max(MOST, touched.size)).sort((a, b) => a - b);
  const column = (WIDE - SIDE) / Math.max(COLUMNS, shown.length + (requests.length > MOST ? 1 : 0));
  const tall = LANE * slots.length + FOOT;
  const y = (slot) => LANE * (slots.indexOf(slot) + 0.5);
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${tall}`, width: WIDE, height: tall, role: "img", "aria-label": spoken(sid, requests) });

  const owner = requests.length ? judge(requests[0], sid).owner : null;
  for (const slot of slots) {
    const rail = svg("g", { class: slot === owner ? "rail owner" : "rail", "data-hue": hue(slot) },
      svg("path", { d: `M${SIDE} ${y(slot)}H${WIDE}` }), svg("text", { x: 9, y: y(slot) + 4 }, String(slot)));
    drawing.append(rail);
  }
  shown.forEach((request, i) => {
    const { ok, forwarded, other: from } = judge(request, sid);
    const x = SIDE + column * (i + 0.5);
    if (from !== null) {
      drawing.append(svg("path", { class: forwarded ? "hop" : "hop astray", d: `M${x} ${y(from)}V${y(request.slot)}` }),
        svg("circle", { class: forwarded ? "end" : "end missed", "data-hue": hue(from), cx: x, cy: y(from), r: R - 2 }));
    }
    const shape = { class: ok ? "dot" : "dot wrong", "data-hue": hue(request.slot) };
    drawing.append(request.step === "upgrade" || !ok
      ? svg("rect", { ...shape, x: x - R, y: y(request.slot) - R, width: 2 * R, height: 2 * R, rx: 2.5 })
      : svg("circle", { ...shape, cx: x, cy: y(request.slot), r: R }));
    if (!ok) drawing.append(svg("path", { class: "cross", d: `M${x - 3} ${y(request.slot) - 3}l6 6m0 -6l-6 6` }));
    drawing.append(svg("text", { class: ok ? "step" : "step wrong", x, y: tall - 4 }, request.step));
  });
  if (requests.length > MOST) drawing.append(svg("text", { class: "step", x: WIDE - column / 2, y: tall - 4 }, `+${requests.length - MOST}`));
  if (all.length > slots.length) drawing.append(svg("text", { class: "step", x: 9, y: tall - 4 }, `+${all.length - slots.length}`)); // workers
  if (!requests.length) {
    ["open", "post", "poll", "upgrade"].forEach((step, i) => drawing.append(svg("text", { class: "step ghost", x: SIDE + column * (i + 0.5), y: tall - 4 }, step)));
  }
  return drawing;
}

function spoken(sid, requests) {
  if (!requests.length) return "No requests yet.";
  return requests.map((one) => `${one.step} ${one.status}, worker ${one.slot}. ${why(one, sid)}`.trim()).join(" ");
}
