// The facts under the button: what this connection is, in the words of the field.
import { byTest, h, say } from "./dom.js";
import { ownerOf, ownerPart, paint } from "./slots.js";

const NONE = "–";

export function showFacts(session) {
  const [transport, worker, sid, root, ws] = ["transport", "worker", "sid", "reply-root", "reply-ws"].map(byTest);
  let shown = null;

  session.addEventListener("change", () => {
    const { state } = session;
    say(transport, state.transport);
    transport.dataset.transport = state.transport;
    say(worker, state.worker === null ? NONE : String(state.worker));
    paint(worker, state.worker);
    say(root, told(state.replies["/"]));
    say(ws, told(state.replies["/ws"]));
    const now = state.transport === "disconnected" ? null : state.sid;
    if (now !== shown) key(sid, (shown = now));
  });
}

const told = (reply) => (reply === null || reply === undefined ? NONE : typeof reply === "string" ? reply : JSON.stringify(reply));

/** Draws a sid as a key: its bow is the owner's number, its shaft the rest. */
function key(el, sid) {
  if (!sid) {
    delete el.dataset.hue;
    el.replaceChildren(NONE);
    return;
  }
  const owner = ownerPart(sid);
  paint(el, ownerOf(sid));
  el.title = owner ? `The part before the dot names the owner: worker ${owner}` : "";
  if (!owner) el.replaceChildren(h("span", { class: "key-shaft" }, sid));
  else el.replaceChildren(h("span", { class: "key-bow" }, owner), h("span", { class: "key-shaft" }, sid.slice(owner.length)));
}
