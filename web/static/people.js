// Who is here, each with the door they came through, and who is typing.
import { arrange, byId, count, eachFrame, h, say } from "./dom.js";
import { tag } from "./slots.js";

const SHOWN = 50; // the latest; a button shows all that are known
const TYPING = 6000; // ms after which somebody who said nothing more has stopped

export function showPeople(chat) {
  const list = byId("members");
  const number = byId("people-count");
  const drawn = new Map(); // key → element: who stays keeps theirs
  const more = byId("people-more");
  let all = false;

  const render = eachFrame(() => {
    const self = `${chat.slot} ${chat.name}`;
    const keys = [...chat.people.keys()].reverse().filter((key) => key !== self);
    if (chat.people.has(self)) keys.unshift(self);
    const shown = new Set(all ? keys : keys.slice(0, SHOWN));
    for (const key of drawn.keys()) if (!shown.has(key)) drawn.delete(key);
    const els = [...shown].map((key) => {
      if (!drawn.has(key)) drawn.set(key, member(chat.people.get(key)));
      return update(drawn.get(key), chat.people.get(key), key === self);
    });
    arrange(list, els);
    list.classList.toggle("all", all && keys.length > SHOWN);

    const hidden = chat.count - [...shown].reduce((sum, key) => sum + chat.people.get(key).n, 0);
    more.hidden = keys.length <= SHOWN;
    say(more, all ? "show fewer" : `+${hidden} more`);
    more.setAttribute("aria-expanded", String(all));

    const doors = new Set([...chat.people.values()].map((one) => one.slot)).size;
    say(number, !chat.here ? "Not connected" : chat.count === 1 ? "You are alone here" : `${chat.count} here, through ${count(doors, "door")}`);
    // A list that scrolls must be reachable by keyboard; one that does not is no stop on the way.
    if (list.scrollHeight > list.clientHeight) list.tabIndex = 0;
    else list.removeAttribute("tabindex");
  });
  more.addEventListener("click", () => { all = !all; render(); });
  chat.addEventListener("people", render);
  chat.addEventListener("room", render);
}

const member = ({ name, slot }) => h("li", { class: "member" }, tag(slot), h("bdi", {}, name), h("span", { class: "dim" }));

// Two tabs of one person, or two people of one name at one door: nobody but they can tell.
function update(el, { n }, self) {
  say(el.lastElementChild, [n > 1 ? `×${n}` : "", self ? "you" : ""].filter(Boolean).join(" "));
  return el;
}

export function showTyping(chat, session) {
  const el = byId("typing");
  const now = new Map(); // name → timer
  let told = "";

  const render = eachFrame(() => {
    const away = session.state.wanted && session.state.phase !== "joined" && chat.slot !== undefined;
    const names = away ? [] : [...now.keys()];
    const tells = JSON.stringify([away, names.slice(0, 2), names.length]);
    if (tells === told) return;
    told = tells;
    if (!names.length) return el.replaceChildren(away ? "No connection: messages wait." : "");
    const shown = names.slice(0, 2).flatMap((name, i) => (i ? [" and ", h("bdi", {}, name)] : [h("bdi", {}, name)]));
    const rest = names.length > 2 ? ` and ${names.length - 2} more` : "";
    el.replaceChildren(...shown, `${rest} ${names.length === 1 ? "is" : "are"} typing…`);
  });
  function stop(name) {
    if (!now.has(name)) return;
    clearTimeout(now.get(name));
    now.delete(name);
    render();
  }
  chat.addEventListener("typing", ({ detail: { name, on } }) => {
    stop(name);
    if (!on || name === chat.name) return; // one's own other tab is no news
    now.set(name, setTimeout(() => stop(name), TYPING));
    render();
  });
  chat.addEventListener("said", ({ detail }) => { for (const { name } of detail) stop(name); });
  chat.addEventListener("welcome", render);
  session.addEventListener("change", render);
  session.root.on("disconnect", () => { [...now.keys()].forEach(stop); render(); });
}
