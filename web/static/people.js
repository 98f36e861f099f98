// Who is here, each with the door they came through, and who is typing.
import { byId, h, say } from "./dom.js";
import { tag } from "./slots.js";

const SHOWN = 200;
const TYPING = 6000; // ms after which somebody who said nothing more has stopped

export function showPeople(chat, session) {
  const list = byId("members");
  const count = byId("people-count");

  chat.addEventListener("people", () => {
    const { members } = chat;
    const mine = members.findIndex((one) => one.name === chat.name && one.slot === chat.slot);
    const order = mine > 0 ? [members[mine], ...members.slice(0, mine), ...members.slice(mine + 1)] : members;
    const more = chat.count - Math.min(SHOWN, members.length);
    list.replaceChildren(
      ...order.slice(0, SHOWN).map((one, i) => h("li", { class: "member" }, tag(one.slot), h("bdi", {}, String(one.name)), mine >= 0 && i === 0 ? h("span", { class: "dim" }, "you") : null)),
      ...(more > 0 ? [h("li", { class: "member dim" }, `and ${more} more`)] : []));
    // A list that scrolls must be reachable by keyboard; one that does not is no stop on the way.
    if (list.scrollHeight > list.clientHeight) list.tabIndex = 0;
    else list.removeAttribute("tabindex");
    const doors = new Set(members.map((one) => one.slot)).size;
    say(count, chat.count === 1 ? "You are alone here" : `${chat.count} people, through ${doors} ${doors === 1 ? "door" : "doors"}`);
  });
  session.root.on("disconnect", () => {
    list.replaceChildren();
    say(count, "Not connected");
  });
}

export function showTyping(chat, session) {
  const el = byId("typing");
  const now = new Map(); // name → timer

  function stop(name) {
    clearTimeout(now.get(name));
    now.delete(name);
  }
  function render() {
    const names = [...now.keys()];
    if (!names.length) return el.replaceChildren();
    const shown = names.slice(0, 2).flatMap((name, i) => (i ? [" and ", h("bdi", {}, name)] : [h("bdi", {}, name)]));
    const rest = names.length > 2 ? ` and ${names.length - 2} more` : "";
    el.replaceChildren(...shown, `${rest} ${names.length === 1 ? "is" : "are"} typing…`);
  }
  chat.addEventListener("typing", ({ detail: { name, on } }) => {
    stop(name);
    if (on) now.set(name, setTimeout(() => { stop(name); render(); }, TYPING));
    render();
  });
  chat.addEventListener("said", ({ detail }) => { detail.forEach((message) => stop(message.name)); render(); });
  session.root.on("disconnect", () => { [...now.keys()].forEach(stop); render(); });
}
